"""Several videos as one ZIP file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from i2v.core.errors import InvalidRequest
from i2v.core.fields import shown
from i2v.service.service import Service
from i2v.web.api.zip_stream import zip_stream
from i2v.web.context import PREFIX, AppContext
from i2v.web.problems import problems

MAX_JOBS = 200

router = APIRouter(prefix=PREFIX)


@router.get(
    "/archive",
    responses={200: {"content": {"application/zip": {}}}, **problems(404, 410, 422, 503)},
    response_class=StreamingResponse,
    tags=["jobs"],
)
async def get_archive(
    request: Request,
    jobs: Annotated[str, Query(max_length=MAX_JOBS * 33, description="ids with commas between them")],
) -> StreamingResponse:
    """Return the finished videos of several jobs as one ZIP file; none of them may be missing."""
    ids = list(dict.fromkeys(part for part in jobs.split(",") if part))
    if not ids or len(ids) > MAX_JOBS:
        allowed = f"1 to {MAX_JOBS} ids with commas between them"
        raise InvalidRequest("request.invalid", field="jobs", value=shown(jobs), allowed=allowed)
    videos = await run_sync(_videos, AppContext.of(request).service, ids)
    name = f"i2v_{datetime.now():%Y%m%d_%H%M%S}.zip"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingResponse(zip_stream(named(videos)), headers=headers, media_type="application/zip")


def _videos(service: Service, ids: Sequence[str]) -> list[Path]:
    return [service.video(job_id) for job_id in ids]


def named(paths: Iterable[Path]) -> list[tuple[str, Path]]:
    """Return each file with a name of its own; `_2` and so on follow where another folder's has it."""
    taken: set[str] = set()
    files = []
    for path in paths:
        name, number = path.name, 1
        while name.casefold() in taken:  # as on systems that do not tell A from a
            number += 1
            name = f"{path.stem}_{number}{path.suffix}"
        taken.add(name.casefold())
        files.append((name, path))
    return files
