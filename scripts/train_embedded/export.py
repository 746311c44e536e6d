"""Checkpoints to a model folder.

Fp16 safetensors in the Hugging Face layout, with the names the published files have.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, I2VGenXLUNet
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPTokenizer

from scripts.train_embedded import checkpoints as unet_checkpoints
from scripts.train_embedded import text, vae
from scripts.train_embedded.checkpoints import Saved
from scripts.train_embedded.designs import design_of
from scripts.train_embedded.network import SCHEDULER, VISION_SIDE, new_image_encoder
from scripts.train_embedded.photos import ROOT

CLASSES = {
    "_class_name": "I2VGenXLPipeline",
    "_diffusers_version": "0.42.1",
    "feature_extractor": ["transformers", "CLIPImageProcessor"],
    "image_encoder": ["transformers", "CLIPVisionModelWithProjection"],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "I2VGenXLUNet"],
    "vae": ["diffusers", "AutoencoderKL"],
}
FEATURE_EXTRACTOR = {
    "crop_size": {"height": VISION_SIDE, "width": VISION_SIDE},
    "do_center_crop": True, "do_convert_rgb": True, "do_normalize": True,
    "do_rescale": True, "do_resize": True,
    "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711],
    "image_processor_type": "CLIPImageProcessor", "resample": 3, "rescale_factor": 1 / 255,
    "size": {"shortest_edge": VISION_SIDE},
}  # fmt: skip


def write_json(path: Path, content: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def save_weights(path: Path, state: dict[str, torch.Tensor]) -> None:
    half = {name: tensor.half().contiguous() for name, tensor in state.items()}
    broken = [name for name, tensor in half.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise ValueError(f"not finite in fp16: {broken}")
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(half, path, metadata={"format": "pt"})


def config_of(model: torch.nn.Module, architecture: str) -> dict[str, object]:
    config = json.loads(model.config.to_json_string(use_diff=False))
    return {**config, "architectures": [architecture], "transformers_version": None, "dtype": "float16"}


def export(checkpoints: Path, folder: Path, averaged: bool) -> None:
    write_json(folder / "model_index.json", CLASSES)
    write_json(folder / "scheduler" / "scheduler_config.json", {"_class_name": "DDIMScheduler", **SCHEDULER})
    write_json(folder / "feature_extractor" / "preprocessor_config.json", FEATURE_EXTRACTOR)

    tokenizer = CLIPTokenizer.from_pretrained(checkpoints / "tokenizer")
    tokenizer.save_pretrained(folder / "tokenizer")
    for name in ("vocab.json", "merges.txt"):
        (folder / "tokenizer" / name).write_bytes((checkpoints / "tokenizer" / name).read_bytes())

    text_encoder = text.new_text_encoder(tokenizer)
    text_encoder.load_state_dict(torch.load(checkpoints / "text.pt", weights_only=True))
    write_json(folder / "text_encoder" / "config.json", config_of(text_encoder, "CLIPTextModel"))
    published = {
        f"text_model.{name.removeprefix('text_model.')}": t for name, t in text_encoder.state_dict().items()
    }
    save_weights(folder / "text_encoder" / "model.fp16.safetensors", published)

    image_encoder = new_image_encoder()
    image_encoder.load_state_dict(torch.load(checkpoints / "vision.pt", weights_only=True))
    write_json(
        folder / "image_encoder" / "config.json", config_of(image_encoder, "CLIPVisionModelWithProjection")
    )
    save_weights(folder / "image_encoder" / "model.fp16.safetensors", image_encoder.state_dict())

    autoencoder = vae.new_vae()
    autoencoder.load_state_dict(torch.load(checkpoints / "vae.pt", weights_only=True))
    denoiser = unet_checkpoints.read(checkpoints / "unet.pt").unet(averaged)
    for part, model in (("vae", autoencoder), ("unet", denoiser)):
        model.save_config(folder / part)
        save_weights(folder / part / "diffusion_pytorch_model.fp16.safetensors", model.state_dict())
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{folder}: {size / 1e6:.1f} MB")
    print("preview_factors:", preview_factors(autoencoder))


def restore(folder: Path, checkpoints: Path) -> None:
    """Turn a shipped folder into checkpoints again, so that training can go on from it on another machine."""
    checkpoints.mkdir(parents=True, exist_ok=True)
    shutil.copytree(folder / "tokenizer", checkpoints / "tokenizer", dirs_exist_ok=True)

    def state(part: str, stem: str) -> dict[str, torch.Tensor]:
        return {k: v.float() for k, v in load_file(folder / part / f"{stem}.fp16.safetensors").items()}

    text_state = state("text_encoder", "model")
    torch.save({k.removeprefix("text_model."): v for k, v in text_state.items()}, checkpoints / "text.pt")
    torch.save(state("image_encoder", "model"), checkpoints / "vision.pt")
    vae_state = state("vae", "diffusion_pytorch_model")
    torch.save(vae_state, checkpoints / "vae.pt")
    unet_state = state("unet", "diffusion_pytorch_model")
    config = json.loads((folder / "unet" / "config.json").read_text(encoding="utf-8"))
    design = design_of(I2VGenXLUNet.from_config(config))
    Saved(design, unet_state, unet_state).write(checkpoints / "unet.pt")


@torch.no_grad()
def preview_factors(autoencoder: AutoencoderKL) -> list[tuple[float, ...]]:
    """Return the least-squares map from latents, and a constant, to the mean colours of their patches.

    Five RGB rows, colours in [0, 1]; fitted on the photographs in examples/.
    """
    latents, colours = [], []
    for path in sorted((ROOT / "examples").glob("*.jpg")):
        with Image.open(path) as file:
            picture = file.convert("RGB").resize((256, 256), Image.Resampling.LANCZOS)
        pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).view(1, 256, 256, 3)
        pixels = pixels.permute(0, 3, 1, 2) / 255
        encoded = autoencoder.encode(2 * pixels - 1).latent_dist.mode()
        latents.append(encoded.flatten(2)[0].T)
        colours.append(F.avg_pool2d(pixels, vae.PATCH).flatten(2)[0].T)
    known = torch.cat(latents)
    table = torch.linalg.lstsq(torch.cat([known, torch.ones(len(known), 1)], 1), torch.cat(colours)).solution
    return [tuple(round(value, 4) for value in row) for row in table.tolist()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoints", type=Path, default=ROOT / "checkpoints")
    parser.add_argument("--folder", type=Path, default=ROOT / "i2v" / "embedded")
    parser.add_argument("--last", action="store_true", help="the last weights instead of the averaged ones")
    parser.add_argument("--restore", action="store_true", help="the other way: checkpoints from the folder")
    parser.add_argument("--pieces", type=Path, help="take the UNet from these first (see `pieces`)")
    options = parser.parse_args()
    if options.pieces:
        unet_checkpoints.read_pieces(options.pieces).write(options.checkpoints / "unet.pt")
    if options.restore:
        restore(options.folder, options.checkpoints)
        return
    export(options.checkpoints, options.folder, averaged=not options.last)


if __name__ == "__main__":
    main()
