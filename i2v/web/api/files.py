"""A job's files: its video, in ranges, so that players can seek; pictures of it; the picture it was given."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from i2v.core.errors import InvalidRequest
from i2v.media.decoder import THUMBNAIL_TYPE
from i2v.media.preview import MIME_TYPE as PREVIEW_TYPE
from i2v.media.video.animation import AnimationFormat
from i2v.service.fitted import MIME_TYPE as FITTED_TYPE
from i2v.web.context import PREFIX, AppContext
from i2v.web.problems import problems

router = APIRouter(prefix=f"{PREFIX}/jobs/{{job_id}}", tags=["jobs"])

# Of what stays as it is; it is a person's, so no proxy may keep it.
_LASTING = {"Cache-Control": "private, max-age=31536000, immutable"}


@router.get(
    "/video",
    responses={200: {"content": {"video/mp4": {}}}, **problems(404, 410, 503)},
    response_class=FileResponse,
)
def get_video(request: Request, job_id: str) -> FileResponse:
    """Return the finished video, or the ranges of it that are asked for."""
    path = AppContext.of(request).service.video(job_id)
    try:
        found = path.stat()
    except OSError as error:  # this very moment
        raise InvalidRequest("job.video_missing", id=job_id, path=str(path)) from error
    return Ranges(
        path,
        media_type="video/mp4",
        filename=path.name,
        stat_result=found,
        content_disposition_type="inline",
    )


@router.get(
    "/preview",
    responses={200: {"content": {PREVIEW_TYPE: {}}}, **problems(404, 503)},
    response_class=Response,
)
def get_preview(request: Request, job_id: str) -> Response:
    """Return what the clip looks like so far, small and moving, while it is denoising."""
    service = AppContext.of(request).service
    job = service.get(job_id)
    picture = service.preview(job_id)
    if picture is None:
        raise InvalidRequest("job.no_preview", id=job.id, status=job.status)
    return Response(picture, media_type=PREVIEW_TYPE, headers={"Cache-Control": "no-store"})


@router.get(
    "/last-frame",
    responses={200: {"content": {"image/png": {}}}, **problems(404, 410, 503)},
    response_class=Response,
)
async def get_last_frame(request: Request, job_id: str) -> Response:
    """Return the finished video's last frame as PNG, to go on from there."""
    context = AppContext.of(request)
    frame = await context.heavy(lambda: context.service.last_frame(job_id))
    return Response(frame, media_type="image/png")


@router.get(
    "/poster",
    responses={200: {"content": {"image/jpeg": {}}}, **problems(404, 410, 503)},
    response_class=Response,
)
async def get_poster(request: Request, job_id: str) -> Response:
    """Return the finished video's first frame as a small JPEG, to show before it is played."""
    context = AppContext.of(request)
    poster = await context.heavy(lambda: context.service.poster(job_id))
    return Response(poster, media_type="image/jpeg", headers=_LASTING)


@router.get(
    "/animation",
    responses={200: {"content": {"image/gif": {}, "image/webp": {}}}, **problems(404, 409, 410, 422, 503)},
    response_class=Response,
)
async def get_animation(
    request: Request,
    job_id: str,
    kind: Annotated[AnimationFormat, Query(alias="format", description="of the file")] = "gif",
) -> Response:
    """Return the finished video as a small moving picture without sound, for where no video can be put."""
    context = AppContext.of(request)
    picture = await context.heavy(lambda: context.service.animation(job_id, kind))
    name = f"{Path(context.service.get(job_id).output).stem}.{kind}"
    disposition = f"inline; filename*=UTF-8''{quote(name)}"
    return Response(
        picture, media_type=f"image/{kind}", headers={**_LASTING, "Content-Disposition": disposition}
    )


@router.get(
    "/picture",
    responses={200: {"content": {FITTED_TYPE: {}}}, **problems(404, 410, 503)},
    response_class=Response,
)
async def get_picture(request: Request, job_id: str) -> Response:
    """Return the picture that the job was given, cut and sized as its clip is, as JPEG."""
    context = AppContext.of(request)
    picture = await context.look(lambda: context.service.fitted_picture(job_id))
    return Response(picture, media_type=FITTED_TYPE, headers=_LASTING)


@router.get(
    "/thumbnail",
    responses={200: {"content": {THUMBNAIL_TYPE: {}}}, **problems(404, 410, 503)},
    response_class=Response,
)
def get_thumbnail(request: Request, job_id: str) -> Response:
    """Return the picture that the job was given, small, as JPEG."""
    picture = AppContext.of(request).service.thumbnail(job_id)
    return Response(picture, media_type=THUMBNAIL_TYPE, headers=_LASTING)


class Ranges(FileResponse):
    """Ignores ranges that make no sense, as RFC 9110 (14.2) has it; Starlette answers 400 in plain text."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _makes_sense(Headers(scope=scope).get("range", "")):
            scope = {**scope, "headers": [pair for pair in scope["headers"] if pair[0] != b"range"]}
        await super().__call__(scope, receive, send)


def _makes_sense(ranges: str) -> bool:
    unit, _, parts = ranges.partition("=")
    found = [re.fullmatch(r"\s*(\d{0,18})-(\d{0,18})\s*", part, re.ASCII) for part in parts.split(",")]
    pairs = [match.groups() for match in found if match]
    return unit == "bytes" and len(pairs) == len(found) and all(_in_order(*pair) for pair in pairs)


def _in_order(first: str, last: str) -> bool:
    return int(first) <= int(last) if first and last else bool(first or last)
