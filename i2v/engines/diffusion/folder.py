"""A model folder in the Hugging Face layout as the loader reads it, and its tensors in a module.

Owns which file is opened, what is asked of a configuration, and how values get into a module: weights are
safetensors only, mapped from the file and assigned without a second copy. Deliberately does not know which
parts a model has (a family's `components`), nor what tensors were called before (`model_files`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from i2v.core.errors import ModelUnavailable
from i2v.core.model_spec import ModelSpec
from i2v.engines.diffusion.float8 import Packed, pack, take
from i2v.weights.model_files import Shape, match_tensors, unreadable
from i2v.weights.parts import stored
from i2v.weights.shards import missing_file

Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True)
class PictureInput:
    """What the image encoder sees: `height` x `width` pixels in [0, 1], less `mean`, over `std`.

    `mean` and `std` have one number a colour.
    """

    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


class Scheduler(Protocol):
    """One of diffusers' schedulers, by class."""

    config: Mapping[str, Any]

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Scheduler: ...


class Folder:
    """A model folder, and the words for what is wrong with it."""

    def __init__(self, spec: ModelSpec, path: Path) -> None:
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

    def check_class(self, expected: str) -> None:
        """Raise `ModelUnavailable` where model_index.json names another pipeline than `expected`."""
        found = self.json("model_index.json").get("_class_name")
        if found != expected:
            path = str(self.path / "model_index.json")
            raise ModelUnavailable("weights.wrong_class", path=path, found=str(found), expected=expected)

    def picture_input(self) -> PictureInput:
        # Four numbers of the file are all that is read; transformers' own class wants torchvision for them.
        name = "feature_extractor/preprocessor_config.json"
        config = self.json(name)
        try:
            crop = config["crop_size"]
            return PictureInput(
                crop["height"], crop["width"], tuple(config["image_mean"]), tuple(config["image_std"])
            )
        except (KeyError, TypeError) as error:
            raise self.unreadable(self.path / name, f"no {error}") from error

    def scheduler(
        self, kind: type[Scheduler], required: Collection[str], known: Mapping[str, Collection[object]]
    ) -> dict[str, Any]:
        """Return the scheduler's settings: all that decide over the noise, none of them a default.

        Args:
            kind: diffusers' class, which fills in what the file leaves out.
            required: names that the file must have.
            known: values that the sampler has code for, where diffusers' scheduler has more.
        """
        name = "scheduler/scheduler_config.json"
        config = self.json(name)
        for key in required:
            if key not in config:
                raise self.unreadable(self.path / name, f"no {key}")
        try:
            effective = kind.from_config(config).config
        except Exception as error:  # whatever a library raises at a value of the wrong kind
            raise self.unreadable(self.path / name, f"{type(error).__name__}: {error}") from error
        for key, values in known.items():
            if effective[key] not in values:
                raise self.unreadable(self.path / name, f"{key} is {effective[key]}, known: {values}")
        return config

    def filled(
        self,
        part: str,
        model: Model,
        home: torch.device,
        dtype: torch.dtype,
        in_float32: Collection[str] = (),
        in_float8: Collection[str] = (),
    ) -> Model:
        """Return `model`, as `build` made it, with the values of `part` at `home`, for inference.

        While a file is read, its tensors may be there twice (as stored, and in `dtype`): fill the largest
        model first. Raises `ModelUnavailable`.

        Args:
            in_float32: names of modules and parameters, wherever they are, that are not put into `dtype`.
            in_float8: whole names of weights of linear layers that are kept so, after `dtype`.
        """
        path, tensors = self.tensors(part, _stem_of(part))
        assign(model, path, tensors, home, dtype, in_float32, in_float8)
        return model.eval().requires_grad_(False)

    def check(self, part: str, model: nn.Module) -> None:
        """Raise `ModelUnavailable` where the file of `part` does not fit `model`; its values are not read."""
        path, tensors = self.tensors(part, _stem_of(part))
        match_tensors(path, _shapes_of(tensors), _shapes_of(model.state_dict()))

    def tensors(self, part: str, stem: str) -> tuple[Path, dict[str, torch.Tensor]]:
        """Return the file of `part`, or the index of its shards, and the mapped tensors; fp16 goes first."""
        found = stored(self.spec, self.path, f"{part}/{stem}.safetensors")
        if found.missing is not None:
            raise missing_file(self.spec, found.missing)
        whole, *shards = found.files
        tensors: dict[str, torch.Tensor] = {}
        for path in shards or (whole,):
            tensors |= read_tensors(self.spec, path)
        return whole, tensors

    def unreadable(self, path: Path, reason: object) -> ModelUnavailable:
        return unreadable(self.spec, path, str(reason))


def read_tensors(spec: ModelSpec, path: Path) -> dict[str, torch.Tensor]:
    """Return the mapped tensors of a safetensors file; raises `ModelUnavailable`."""
    try:
        with safe_open(str(path), framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (OSError, SafetensorError) as error:
        raise unreadable(spec, path, str(error)) from error


def assign(
    model: nn.Module,
    path: Path,
    tensors: Mapping[str, torch.Tensor],
    device: torch.device,
    dtype: torch.dtype,
    in_float32: Collection[str] = (),
    in_float8: Collection[str] = (),
) -> None:
    """Put `tensors`, those of the file `path`, into `model`, which was built on the meta device.

    All are put into `dtype`, but for those with one of the names `in_float32` on their way, and from there
    those called `in_float8` into that. Where it ends early, for want of memory, `model` is as it was.
    Raises `ModelUnavailable` for one that does not fit, as `match_tensors` does.
    """
    names = match_tensors(path, _shapes_of(tensors), _shapes_of(model.state_dict()))
    in_float32 = frozenset(in_float32)
    values, packed = dict[str, torch.Tensor](), dict[str, Packed]()
    for name, old in names.items():
        wanted = dtype if in_float32.isdisjoint(name.split(".")) else torch.float32
        value = tensors[old].to(device, wanted)
        if name in in_float8:
            packed[name] = pack(value)
        else:
            values[name] = value
    model.load_state_dict(values, strict=not packed, assign=True)
    for name, kept in packed.items():
        take(model.get_submodule(name.rpartition(".")[0]), kept)
    _restore_constants(model, device)


def _stem_of(part: str) -> str:
    return "model" if part.endswith("_encoder") else "diffusion_pytorch_model"


def _shapes_of(tensors: Mapping[str, torch.Tensor]) -> dict[str, Shape]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def _restore_constants(model: nn.Module, device: torch.device) -> None:
    """Give the buffers that no file holds their values, where the meta device has made them without."""
    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False):
            if name not in module._non_persistent_buffers_set:
                continue
            if not buffer.is_meta:
                module.register_buffer(name, buffer.to(device), persistent=False)
                continue
            if name != "position_ids":
                raise TypeError(
                    f"{type(module).__name__}.{name} has no value:"
                    " this version of transformers is not supported"
                )
            positions = torch.arange(buffer.shape[-1], device=device).expand(buffer.shape)
            module.register_buffer(name, positions, persistent=False)
