"""What the videos of `i2v batch` are called: a pattern such as "{stem}_{seed}", made a file's name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Formatter

from i2v.core.errors import InvalidRequest
from i2v.core.fields import shown
from i2v.core.file_names import cleaned
from i2v.media.outputs import MAX_NAME_BYTES

FROM_RESULT = ("seed", "engine", "width", "height", "num_frames", "fps")
KNOWN = ("stem", "picture", "prompt", "number", *FROM_RESULT)  # picture: the stem as any system takes it
_SAMPLE = {name: name if name in ("stem", "picture", "prompt", "engine") else 1 for name in KNOWN}


class NamePattern:
    """Checked once; `.mp4` may stand at its end."""

    def __init__(self, pattern: str) -> None:
        """Raises `InvalidRequest` (`batch.bad_name`)."""
        self._pattern = pattern.removesuffix(".mp4")
        try:
            used = [name for _, name, _, _ in Formatter().parse(self._pattern) if name is not None]
            if unknown := [name for name in used if name not in KNOWN]:
                raise ValueError(f"{{{unknown[0]}}} is not known")
            sample = self._pattern.format(**_SAMPLE)
        except (ValueError, TypeError, IndexError) as error:
            raise self._bad(str(error)) from error
        if not sample or Path(sample).name != sample or sample.startswith(".") or "\0" in sample:
            raise self._bad("it is no file's name")

    def candidates(
        self, folder: Path, stem: str, number: int, result: Mapping[str, object]
    ) -> Iterator[Path]:
        """Yield the path, then others for where it is taken: `_2`, `_3` and so on.

        result: see `Maker.result`.
        """
        values = {name: result.get(name, "") for name in FROM_RESULT}
        values["picture"] = cleaned(stem) or "picture"
        values["prompt"] = cleaned(str(result.get("prompt", ""))) or "prompt"
        name = self._pattern.format(stem=stem, number=number, **values)
        name = name.encode()[: MAX_NAME_BYTES - 20].decode(errors="ignore")  # there is more to come
        yield folder / f"{name}.mp4"
        for count in range(2, 10**6):
            yield folder / f"{name}_{count}.mp4"

    def _bad(self, reason: str) -> InvalidRequest:
        pattern, known = shown(self._pattern), ", ".join(f"{{{name}}}" for name in KNOWN)
        return InvalidRequest(
            "batch.bad_name", pattern=pattern, reason=shown(reason, limit=200), allowed=known
        )
