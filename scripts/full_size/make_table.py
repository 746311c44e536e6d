"""Make `i2v/weights/i2vgen-xl.tsv`: names and shapes that diffusers and transformers give published tensors.

The classes are built from `layout.CONFIGS` on the meta device, which takes seconds and no memory. It must be
done with the versions of the time, since transformers 5 gives other names; they want an environment of their
own, to be thrown away afterwards (Python 3.11):

    python -m venv /tmp/old
    /tmp/old/bin/pip install torch==2.13.0 diffusers==0.26.0 transformers==4.37.2 \\
        huggingface_hub==0.20.3 'numpy<2'
    /tmp/old/bin/python -m scripts.full_size.make_table

diffusers 0.39.0 with transformers 4.57.6, the last before 5, make the same table.
"""

from __future__ import annotations

import diffusers
import torch
import transformers

from scripts.full_size.layout import CONFIGS, FILES, TABLE


def published_models() -> dict[str, torch.nn.Module]:
    """Return the four parts without values."""
    configs = {part: CONFIGS[f"{part}/config.json"] for part in FILES}
    with torch.device("meta"):
        return {
            "unet": diffusers.I2VGenXLUNet.from_config(configs["unet"]),
            "image_encoder": transformers.CLIPVisionModelWithProjection(
                transformers.CLIPVisionConfig(**configs["image_encoder"])
            ),
            "text_encoder": transformers.CLIPTextModel(
                transformers.CLIPTextConfig(**configs["text_encoder"])
            ),
            "vae": diffusers.AutoencoderKL.from_config(configs["vae"]),
        }


def main() -> None:
    if int(transformers.__version__.split(".")[0]) >= 5:
        raise SystemExit(
            f"transformers {transformers.__version__} gives other names than the published: use 4"
        )
    versions = f"diffusers {diffusers.__version__} and transformers {transformers.__version__}"
    lines = [f"# Made by scripts/full_size/make_table.py with {versions}: part, tensor, shape."]
    for part, model in published_models().items():
        lines += [
            f"{part}\t{name}\t{','.join(map(str, tensor.shape))}"
            for name, tensor in sorted(model.state_dict().items())
        ]
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{TABLE}: {len(lines) - 1} tensors")


if __name__ == "__main__":
    main()
