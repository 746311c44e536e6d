"""A folder in the Hugging Face layout -> the six components of I2VGen-XL, or an error naming file and tensor.

Weights are safetensors only, mapped from the file and assigned without a second copy. Names of both
transformers 4 (the published files) and 5 are read. What a component computes is not known here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from diffusers import AutoencoderKL, DDIMScheduler, I2VGenXLUNet
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from i2v.engines.i2vgen_xl.layouts import use_channels_last_weights
from i2v.engines.i2vgen_xl.upsampling import use_phase_convolutions
from i2v.errors import ModelUnavailable
from i2v.schema import EngineSpec, MemoryPlan, Offload

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class PictureInput:
    """What the image encoder sees: `height` x `width` pixels in [0, 1], less `mean`, over `std`.

    `mean` and `std` have one number a colour.
    """

    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass
class Components:
    """The loaded model, in `dtype`.

    Tensors are made on `device`, where the parts compute. When they do not, the encoders' weights are at
    `encoders_home`, the others' at `home`: `device` too, unless the plan offloads.
    """

    tokenizer: CLIPTokenizer
    text_encoder: CLIPTextModel
    picture_input: PictureInput
    image_encoder: CLIPVisionModelWithProjection
    vae: AutoencoderKL
    unet: I2VGenXLUNet
    scheduler_config: dict[str, Any]
    device: torch.device
    home: torch.device
    encoders_home: torch.device
    dtype: torch.dtype

    @contextmanager
    def on_device(self, *parts: nn.Module) -> Iterator[None]:
        """Have `parts` on `device` inside, and back at home after, whatever ends it.

        Nothing moves where the two are the same. Where they are not, `Components` serves one clip at a time.
        This has never run on CUDA: what is tested is a second device that the tests emulate.
        """
        try:
            for part in parts:
                part.to(self.device)
            yield
        finally:
            for part in parts:
                encodes = part is self.text_encoder or part is self.image_encoder
                part.to(self.encoders_home if encodes else self.home)

    def settle(self, offload: Offload) -> None:
        """Have the parts at home where `offload` wants them, from now on."""
        home, encoders_home = homes(self.device, offload)
        if (home, encoders_home) == (self.home, self.encoders_home):
            return  # asking every tensor takes 50 ms a clip
        for part in (self.unet, self.vae):
            part.to(home)
        for encoder in (self.image_encoder, self.text_encoder):
            encoder.to(encoders_home)
        self.home, self.encoders_home = home, encoders_home  # only now: memory may have run out on the way

    def wait(self) -> None:
        """Return when the device has done all that it was asked: where a stage ends, so must its time."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    @property
    def vae_scale_factor(self) -> int:
        """Pixels a latent, in each direction."""
        factor: int = 2 ** (len(self.vae.config.block_out_channels) - 1)
        return factor

    def scheduler(self) -> DDIMScheduler:
        """Return a scheduler of its own for each run, since diffusers' schedulers carry state."""
        return DDIMScheduler.from_config(self.scheduler_config)


def homes(device: torch.device, offload: Offload) -> tuple[torch.device, torch.device]:
    """Return where UNet and VAE wait for their phase, and where the encoders do."""
    cpu = torch.device("cpu")
    return cpu if offload == "model" else device, device if offload == "none" else cpu


Model = TypeVar("Model", bound=nn.Module)

_SCHEDULE = ("beta_start", "beta_end", "beta_schedule", "num_train_timesteps", "prediction_type")
# What the sampler has code for (`solvers`, `schedules`), where diffusers' scheduler has more.
_SAMPLED = {
    "prediction_type": ("v_prediction", "epsilon", "sample"),
    "timestep_spacing": ("leading",),
    "clip_sample": (False,),
    "thresholding": (False,),
}


class _Folder:
    """A model folder, and the words for what is wrong with it."""

    def __init__(self, spec: EngineSpec, path: Path) -> None:
        self.spec = spec
        self.path = path

    def file(self, name: str) -> Path:
        path = self.path / name
        if not path.is_file():
            raise ModelUnavailable("weights.missing_file", title=self.spec.title, path=str(path))
        return path

    def json(self, name: str) -> dict[str, Any]:
        path = self.file(name)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise self.unreadable(path, error) from error
        if not isinstance(content, dict):
            raise self.unreadable(path, "it holds no table")
        return content

    def build(self, part: str, make: Callable[[dict[str, Any]], Model]) -> Model:
        """Return the module of `part` as its config.json describes it, on the meta device: without values."""
        name = f"{part}/config.json"
        config = self.json(name)
        try:
            with torch.device("meta"):
                return make(config)
        except Exception as error:  # whatever a library raises at a value of the wrong kind
            raise self.unreadable(self.path / name, f"{type(error).__name__}: {error}") from error

    def scheduler(self) -> dict[str, Any]:
        """Return the scheduler's settings: all that decide over the noise, none of them a default."""
        name = "scheduler/scheduler_config.json"
        config = self.json(name)
        missing = [key for key in _SCHEDULE if key not in config]
        if missing:
            raise self.unreadable(self.path / name, f"no {missing[0]}")
        try:
            effective = DDIMScheduler.from_config(config).config
        except Exception as error:  # whatever a library raises at a value of the wrong kind
            raise self.unreadable(self.path / name, f"{type(error).__name__}: {error}") from error
        for key, known in _SAMPLED.items():
            if effective[key] not in known:
                raise self.unreadable(self.path / name, f"{key} is {effective[key]}, known: {known}")
        return config

    def tensors(self, part: str, stem: str) -> tuple[Path, dict[str, torch.Tensor]]:
        """Return the mapped tensors of `part`, the fp16 variant where it is there."""
        variant = self.path / part / f"{stem}.fp16.safetensors"
        path = variant if variant.is_file() else self.file(f"{part}/{stem}.safetensors")
        try:
            with safe_open(str(path), framework="pt") as file:
                return path, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        except (OSError, SafetensorError) as error:
            raise self.unreadable(path, error) from error

    def unreadable(self, path: Path, reason: object) -> ModelUnavailable:
        return ModelUnavailable(
            "weights.unreadable",
            title=self.spec.title,
            path=str(path),
            reason=" ".join(str(reason).split())[:300],
        )


def load_components(spec: EngineSpec, folder: Path, plan: MemoryPlan) -> Components:
    """Load every component from `folder` in the plan's dtype, straight to where it is at home.

    Raises:
        ModelUnavailable: a file is missing or unreadable, or a tensor is missing, unexpected or misshapen.
    """
    source = _Folder(spec, folder)
    index = source.json("model_index.json")
    if index.get("_class_name") != "I2VGenXLPipeline":
        raise ModelUnavailable(
            "weights.wrong_class",
            path=str(folder / "model_index.json"),
            found=str(index.get("_class_name")),
            expected="I2VGenXLPipeline",
        )
    device, dtype = torch.device(plan.device), DTYPES[plan.dtype]
    home, encoders_home = homes(device, plan.offload)

    def ready(part: str, stem: str, model: Model, home: torch.device = home) -> Model:
        path, tensors = source.tensors(part, stem)
        _assign(model, path, tensors, home, dtype)
        return model.eval().requires_grad_(False)

    text_encoder = source.build("text_encoder", lambda config: CLIPTextModel(CLIPTextConfig(**config)))
    image_encoder = source.build(
        "image_encoder", lambda config: CLIPVisionModelWithProjection(CLIPVisionConfig(**config))
    )
    vae = source.build("vae", AutoencoderKL.from_config)
    unet = source.build("unet", I2VGenXLUNet.from_config)
    # The largest first: while a file is read, its tensors may be there twice (as stored, and in `dtype`).
    unet = ready("unet", "diffusion_pytorch_model", unet)
    image_encoder = ready("image_encoder", "model", image_encoder, encoders_home)
    text_encoder = ready("text_encoder", "model", text_encoder, encoders_home)
    vae = ready("vae", "diffusion_pytorch_model", vae)
    _apply_image_gain(unet, spec.image_gain)
    use_phase_convolutions(unet)
    use_channels_last_weights(unet)
    use_phase_convolutions(vae)
    return Components(
        tokenizer=_load_tokenizer(source),
        text_encoder=text_encoder,
        picture_input=_load_picture_input(source),
        image_encoder=image_encoder,
        vae=vae,
        unet=unet,
        scheduler_config=source.scheduler(),
        device=device,
        home=home,
        encoders_home=encoders_home,
        dtype=dtype,
    )


def _load_picture_input(source: _Folder) -> PictureInput:
    # Four numbers of the file are all that is read; transformers' own class wants torchvision for them.
    name = "feature_extractor/preprocessor_config.json"
    config = source.json(name)
    try:
        crop = config["crop_size"]
        return PictureInput(
            crop["height"], crop["width"], tuple(config["image_mean"]), tuple(config["image_std"])
        )
    except (KeyError, TypeError) as error:
        raise source.unreadable(source.path / name, f"no {error}") from error


def _load_tokenizer(source: _Folder) -> CLIPTokenizer:
    source.file("tokenizer/vocab.json")
    source.file("tokenizer/merges.txt")
    try:
        return cast(
            "CLIPTokenizer", CLIPTokenizer.from_pretrained(source.path / "tokenizer", local_files_only=True)
        )
    except (OSError, ValueError, KeyError) as error:
        raise source.unreadable(source.path / "tokenizer", error) from error


def _assign(
    model: nn.Module, path: Path, tensors: dict[str, torch.Tensor], device: torch.device, dtype: torch.dtype
) -> None:
    """Put `tensors` into `model` (built on the meta device), or say which one does not fit."""
    expected = model.state_dict()
    found = {_known_name(name, expected): tensor for name, tensor in tensors.items()}
    # transformers 4 saved this constant in some files; the module makes its own
    found = {
        name: tensor
        for name, tensor in found.items()
        if name in expected or not name.endswith("position_ids")
    }
    _refuse("weights.missing_tensor", path, expected.keys() - found.keys())
    _refuse("weights.unexpected_tensor", path, found.keys() - expected.keys())
    for name, tensor in found.items():
        if tensor.shape != expected[name].shape:
            shapes = {"found": str(tuple(tensor.shape)), "expected": str(tuple(expected[name].shape))}
            raise ModelUnavailable("weights.misshapen_tensor", path=str(path), tensor=name, **shapes)
    model.load_state_dict({name: tensor.to(device, dtype) for name, tensor in found.items()}, assign=True)
    _restore_constants(model, device)


# The attention of a VAE as diffusers wrote it before 0.17 (June 2023), which files copied since still have.
_OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def _known_name(name: str, expected: Iterable[str]) -> str:
    """Return the module's name for a tensor of an older file.

    transformers 4 and 5 differ by the prefix `text_model.`, and diffusers renamed the VAE's attention.
    """
    owner, _, kind = name.rpartition(".")
    rest, _, last = owner.rpartition(".")
    for candidate in (name.removeprefix("text_model."), f"{rest}.{_OLD_ATTENTION.get(last, last)}.{kind}"):
        if name not in expected and candidate in expected:
            return candidate
    return name


def _refuse(code: str, path: Path, names: Iterable[str]) -> None:
    wrong = sorted(names)
    if wrong:
        raise ModelUnavailable(code, path=str(path), tensor=wrong[0], count=len(wrong))


def _restore_constants(model: nn.Module, device: torch.device) -> None:
    """Give the buffers that no file holds their values: the meta device has made them without."""
    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False):
            if not buffer.is_meta:
                continue
            if name != "position_ids":
                raise TypeError(
                    f"{type(module).__name__}.{name} has no value:"
                    " this version of transformers is not supported"
                )
            positions = torch.arange(buffer.shape[-1], device=device).expand(buffer.shape)
            module.register_buffer(name, positions, persistent=False)


def _apply_image_gain(unet: I2VGenXLUNet, gain: float) -> None:
    """Fold `EngineSpec.image_gain` into `conv_in`.

    The second half of its inputs is the first frame's features.
    """
    if gain != 1.0:
        unet.conv_in.weight[:, unet.config.in_channels :] *= gain
