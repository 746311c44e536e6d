"""The addresses that work once (`web.one_time`): a picture is sent to one, a video fetched from another."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse
from starlette.types import Message, Receive, Scope, Send

from i2v.core.errors import InvalidRequest
from i2v.web.api.waiting_place import waiting_place
from i2v.web.context import AppContext
from i2v.web.one_time import PREFIX
from i2v.web.problems import problems

router = APIRouter(prefix=PREFIX.rstrip("/"), tags=["one-time addresses"])

_PICTURE = {
    "requestBody": {"required": True, "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}
}


@router.put(
    "/{secret}",
    status_code=204,
    response_class=Response,
    responses=problems(404, 413, 503, 507),
    openapi_extra=_PICTURE,
)
async def send_picture(request: Request, secret: str) -> Response:
    """Send a picture's file as the body; a form is not read."""
    context = AppContext.of(request)
    context.once.check_upload(secret)  # before the body is read
    with waiting_place(context.settings.service.data_dir) as place:
        async for chunk in request.stream():
            await place.write(chunk)
        await place.read_out(partial(context.once.keep_upload, secret), context.unpacking)
    return Response(status_code=204)


@router.get(
    "/{secret}",
    responses={200: {"content": {"video/mp4": {}}}, **problems(404, 410, 503)},
    response_class=FileResponse,
)
def fetch_video(request: Request, secret: str) -> FileResponse:
    """Return a video, once: after that, or after its time, the address is unknown."""
    context = AppContext.of(request)
    download = context.once.take_download(secret)
    try:
        path = context.service.video(download.job_id)
        found = path.stat()
    except InvalidRequest:
        context.once.give_back(secret, download)
        raise
    except OSError as error:  # this very moment
        raise InvalidRequest("job.video_missing", id=download.job_id, path=str(path)) from error
    file = OnceFile(
        path,
        media_type="video/mp4",
        filename=path.name,
        stat_result=found,
        headers={"Cache-Control": "no-store"},
    )
    file.when_cut_off = partial(context.once.give_back, secret, download)
    return file


class OnceFile(FileResponse):
    """A file that is sent whole, whatever ranges are asked for.

    Attributes:
        when_cut_off: called where it did not arrive whole, and after HEAD.
    """

    when_cut_off: Callable[[], None]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_arrived = False
        request = Request(scope, receive)

        async def watch(message: Message) -> None:
            nonlocal has_arrived
            is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
            has_arrived = is_last and not await request.is_disconnected()
            await send(message)

        headers = [pair for pair in scope["headers"] if pair[0] != b"range"]
        try:
            await super().__call__({**scope, "headers": headers}, receive, watch)
        finally:
            if not has_arrived:
                self.when_cut_off()
