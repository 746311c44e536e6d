"""Where a clip comes from, as it stands in the file: what was run, on which weights, with which versions.

Owns the JSON under the metadata key `i2v`: writing it, reading it back (a file from anywhere is not trusted),
turning it into a request again, and telling what is different now. What a later version has written besides
is kept, and passed over with a notice. Neither files nor engines are opened here.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Self

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from pydantic_core import to_jsonable_python

from i2v.core.errors import InvalidRequest, Notice
from i2v.core.fields import shown
from i2v.core.generation import Generation
from i2v.core.memory_plan import DeviceInfo, MemoryPlan
from i2v.core.schema import GenerationRequest, Language
from i2v.media.upscale import NETWORKS

KEY = "i2v"  # the metadata key
FORMAT = 1  # of the JSON; a later one may mean other things by the same names

# Fields of a request: those that say a size, and those that a preset settles.
_SIZE_FIELDS = frozenset({"preset", "resolution", "height", "width"})
_PRESET_FIELDS = frozenset({"num_frames", "fps", "target_fps", "num_inference_steps", "guidance_scale"})
# Fields of a generation that follow from others.
_FOLLOWING = {"width", "height", "generated_width", "generated_height", "upscaler"}
_PROMPTS = ("prompt", "negative_prompt")


class Provenance(BaseModel):
    """What a clip was made from and with; a later version's fields are in `model_extra`.

    Attributes:
        generation: what was run (`Generation`); prompts are `None` where they were left out.
        size: how its size was asked for; with the same picture it comes out the same.
        picture_sha256: of the upright picture's pixels, so that re-saving it losslessly changes nothing.
        inputs_sha256: the same of the pictures besides it (`Generation.inputs`).
        weights_sha256: of the model's files.
        sound_sha256: of the decoded sound that came with the request, "" where none did.
        synthetic_speech: which program and voice spoke the narration, with versions; "" where nobody speaks.
        style_model_sha256: of the files of the model that reads the style picture, "" where there is none.
        checkpoint_sha256, loras_sha256: of the files that `Generation` names; of a folder, of its files' own.
        plan, device: how and where it was begun; the job tells where it went on by a lesser plan, or
            could not compile.
        kernels: whose kernels the network ran through when it was begun; `None` where that was not told.
        versions: of Python, of the packages that compute or encode, and of ffmpeg.
        visible_label: the language of the label in the picture, if it has one.
        extended: of a clip that was made longer, what was run for each shorter one, the first one first, and
            on which weights; all else is of its last part.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="allow")

    format: Annotated[int, Field(ge=1)] = FORMAT
    generation: dict[str, JsonValue]
    size: dict[str, JsonValue]
    picture_sha256: str
    inputs_sha256: list[str] = []
    sound_sha256: str = ""
    synthetic_speech: str = ""
    weights_sha256: str
    checkpoint_sha256: str = ""
    loras_sha256: list[str] = []
    style_model_sha256: str = ""
    plan: dict[str, JsonValue]
    device: str
    kernels: str | None = None
    versions: dict[str, str]
    visible_label: str | None = None
    extended: list[dict[str, JsonValue]] = []

    @classmethod
    def of(
        cls,
        asked: Mapping[str, object],
        generation: Generation,
        pictures: Sequence[Image.Image],
        weights_sha256: str,
        plan: MemoryPlan,
        device: DeviceInfo,
        visible_label: Language | None,
        packages: Iterable[str] = (),
    ) -> Self:
        """Describe a clip.

        asked: the fields of the request that were given. pictures: the image, then those of the
        generation's `inputs`; none where it was made of a clip. packages: what computed the frames.
        """
        network = NETWORKS.get(generation.upscaler)
        used = ("i2v", *packages, "imageio-ffmpeg", *(network.packages if network else ()))
        return cls(
            generation=_content(generation),
            size={name: to_jsonable_python(value) for name, value in asked.items() if name in _SIZE_FIELDS},
            picture_sha256=picture_digest(pictures[0]) if pictures else "",
            inputs_sha256=[picture_digest(picture) for picture in pictures[1:]],
            weights_sha256=weights_sha256,
            plan=to_jsonable_python(plan),
            device=device.name,
            versions={"python": platform.python_version(), **versions_of(used)},
            visible_label=visible_label,
        )

    def digest(self) -> str:
        """Return 32 hexadecimal digits that name this content: the same for the same clip made twice."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:32]

    def of_frames(self) -> str:
        """Return what the frames follow from, but for the way they were computed: the same, the same clip."""
        parts = ("generation", "picture_sha256", "inputs_sha256", "weights_sha256", "checkpoint_sha256")
        later = {"style_model_sha256"} if self.style_model_sha256 else set()  # as before there were any
        return self.model_dump_json(include={*parts, "loras_sha256", *later})

    def to_tag(self, with_prompts: bool) -> str:
        """Return one line of JSON."""
        content: dict[str, JsonValue] = self.model_dump()
        if not with_prompts:
            content = _silent(content) | {"extended": [_silent(each) for each in self.extended]}
        return json.dumps(content, ensure_ascii=False)

    @classmethod
    def from_tags(cls, tags: Mapping[str, str], path: Path) -> Self:
        """Read a file's metadata; raises `InvalidRequest` (`provenance.*`) where i2v did not write it."""
        name = shown(str(path), limit=300)
        if KEY not in tags:
            raise InvalidRequest("provenance.none", path=name)
        try:
            return cls.model_validate_json(tags[KEY])
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            reason = ".".join(map(str, first["loc"])) + ": " + first["msg"]
            raise InvalidRequest(
                "provenance.unreadable", path=name, reason=shown(reason, limit=200)
            ) from None

    def request_fields(self, given: Mapping[str, object], unused: Collection[str] = ()) -> dict[str, object]:
        """Return the request for this clip again with what is `given` instead.

        A preset that is given takes the place of all that it settles; an option that is given, of that option
        alone. Prompts that were left out of the file, and are not given, are missing.

        unused: fields that the engine does not take (`Capabilities.unused`).
        """
        known = (
            GenerationRequest.model_fields.keys() - _SIZE_FIELDS - {"style"}
        )  # its words are in the prompts
        known -= set(unused)
        options = self.generation.get("options")
        if given.get("engine", self.generation.get("engine")) != self.generation.get("engine"):
            known -= {"options"}  # another engine has others
        elif isinstance(options, dict) and isinstance(changed := given.get("options"), dict):
            given = {**given, "options": {**options, **changed}}
        if "preset" in given:
            known -= _PRESET_FIELDS
        ours = {name: value for name, value in self.generation.items() if name in known and value is not None}
        size = {name: value for name, value in self.size.items() if name in _SIZE_FIELDS}
        ours.setdefault("speed", "exact")  # what there was before it had a name
        return {**ours, **({} if given.keys() & _SIZE_FIELDS else size), **given}

    def unknown(self, path: Path) -> tuple[Notice, ...]:
        """Return a notice of what a later version wrote into the clip at `path`, and this one ignores."""
        parts = {"generation": _names_of(Generation), "plan": _names_of(MemoryPlan), "size": _SIZE_FIELDS}
        written = {"": self.model_extra or {}, **{part: getattr(self, part) for part in parts}}
        names = [
            f"{part}.{name}".removeprefix(".")
            for part, values in written.items()
            for name, value in values.items()
            if name not in parts.get(part, ()) and value not in (None, "", [], {})  # which say nothing
        ]
        if self.format > FORMAT:
            names.append(f"format {self.format}")
        if not names:
            return ()
        name, listed = shown(str(path), limit=300), shown(", ".join(names), limit=200)
        return (Notice("like.unknown", {"path": name, "names": listed}),)

    def differences(self, then: Provenance, path: Path, asked: frozenset[str]) -> Iterator[Notice]:
        """Yield a notice for all that was otherwise in the clip at `path`, and bears on the frames.

        asked: fields of the request that were changed on purpose.
        """
        yield from then.unknown(path)
        expected = set(asked)
        if expected & {"options", "engine"}:
            expected.add("strength")  # which follows from them
        if expected & {"loras", "checkpoint", "engine"}:
            expected |= {"LoRA files", "checkpoint file", "loras", "checkpoint"}
        if asked & {*_SIZE_FIELDS, "fit", "crop", "engine"}:
            expected |= _FOLLOWING
        if "preset" in asked:
            expected |= _PRESET_FIELDS
        was = then._bearing_on_frames()
        for what, value in self._bearing_on_frames().items():
            before = was.get(what)
            if what in expected or before == value or what not in was:
                continue
            if what in _PROMPTS and before is None:
                yield Notice("like.left_out", {"what": what, "path": str(path)})
            else:
                texts = {"path": str(path), "before": shown(str(before)), "now": shown(str(value))}
                yield Notice("like.differs", {"what": what, **texts})

    def _bearing_on_frames(self) -> dict[str, JsonValue]:
        return {
            "speed": "exact",  # what there was before it had a name
            "crop": None,  # the same
            "upscaler": "lanczos",  # the same
            "checkpoint": "",  # the same
            "loras": [],  # the same
            "story": [],  # the same
            "loop": False,  # the same
            "output_fps": None,  # the same
            "interpolation": None,  # the same
            "source": "",  # the same
            "extends": 0,  # the same
            "style": None,  # the same
            **self.generation,
            "picture": f"sha256 {self.picture_sha256[:16]}",
            "other pictures": ", ".join(f"sha256 {digest[:16]}" for digest in self.inputs_sha256),
            "checkpoint file": f"sha256 {self.checkpoint_sha256[:16]}" if self.checkpoint_sha256 else "",
            "LoRA files": ", ".join(f"sha256 {digest[:16]}" for digest in self.loras_sha256),
            "style model": f"sha256 {self.style_model_sha256[:16]}" if self.style_model_sha256 else "",
            "weights": f"sha256 {self.weights_sha256[:16]}",
            "compile": False,  # what there was before it could be asked for
            **{name: value for name, value in self.plan.items() if name != "cuda_graph"},  # the same kernels
            "device name": self.device,
            "kernels": self.kernels or "torch",  # what there was before it was told
            "visible label": self.visible_label,
            **self.versions,
        }


def _content(generation: Generation) -> dict[str, JsonValue]:
    """Return it as JSON; a LoRA's strength in a second expert only where there is one."""
    content: dict[str, JsonValue] = to_jsonable_python(generation)
    loras = [to_jsonable_python(lora, exclude_none=True) for lora in generation.loras]
    return {**content, "loras": loras}


def _silent(content: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return it without what was asked for in words."""
    generation = content.get("generation")
    if not isinstance(generation, dict):
        return content
    scenes = generation.get("story")
    left_out: dict[str, JsonValue] = dict.fromkeys((*_PROMPTS, "narration"))
    if isinstance(scenes, list):
        left_out["story"] = [{**scene, "prompt": ""} for scene in scenes if isinstance(scene, dict)]
    return {**content, "generation": generation | left_out}


def _names_of(kind: type[Generation] | type[MemoryPlan]) -> tuple[str, ...]:
    return tuple(each.name for each in fields(kind))


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """Return those that are known: an upscaler may have gone since, which whoever needs it will say."""
    found = {}
    for name in packages:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def picture_digest(picture: Image.Image) -> str:
    """Return the SHA-256 of an RGB picture's size and pixels, in hexadecimal."""
    digest = hashlib.sha256(f"{picture.width}x{picture.height}".encode())
    digest.update(picture.tobytes())
    return digest.hexdigest()
