"""Licences that a person must accept before anything is downloaded: which are open, and who said yes when.

An answer holds for one repository at one revision, whichever model it is a part of, and is kept in the models
folder, where it stays when the model is removed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from i2v.core.errors import InvalidRequest
from i2v.core.model_spec import ModelSpec, Repository
from i2v.core.settings import ModelSettings
from i2v.weights.parts import origin_of
from i2v.weights.records import RECORDS, write_json


def licence_url(part: Repository) -> str:
    return part.licence_url or origin_of(part)


def is_accepted(part: Repository, models: ModelSettings) -> bool:
    """Tell whether nobody needs to be asked (any more)."""
    return not part.must_accept or _key(part) in _answers(models)


def accept(parts: Iterable[Repository], models: ModelSettings) -> None:
    """Record, with the date, that their licences were accepted. Raises `OSError`."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    new = {
        _key(part): {"licence": part.licence, "url": licence_url(part), "accepted": now}
        for part in parts
        if not is_accepted(part, models)
    }
    if new:
        write_json(_file(models), {**_answers(models), **new})


def refuse_unless_accepted(spec: ModelSpec, parts: Iterable[Repository], models: ModelSettings) -> None:
    """Raise `InvalidRequest` (`weights.licence`) naming the licences that nobody has accepted yet."""
    pending = [part for part in parts if not is_accepted(part, models)]
    if pending:
        licences = "; ".join(f"{part.licence} ({licence_url(part)})" for part in pending)
        raise InvalidRequest("weights.licence", title=spec.title, licences=licences, name=spec.name)


def _answers(models: ModelSettings) -> Mapping[str, object]:
    try:
        content = json.loads(_file(models).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none, or damaged: to ask again does no harm
        return {}
    return content if isinstance(content, dict) else {}


def _key(part: Repository) -> str:
    return f"{part.repo}@{part.revision}"


def _file(models: ModelSettings) -> Path:
    return models.directory / RECORDS / "licences.json"
