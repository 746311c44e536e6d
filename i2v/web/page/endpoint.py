"""The page's one function for programs: `gradio_client` calls it by the name /generate.

For scripts that speak to Gradio already; new ones are better served by the REST API, whose jobs can be
followed, cancelled and found again. Gradio checks the path of what calls itself a file, and nothing else.
"""

from __future__ import annotations

from pathlib import Path

import gradio as gr
from anyio.to_thread import run_sync
from gradio.events import api
from gradio.processing_utils import save_file_to_cache

from i2v.core.errors import I2VError
from i2v.core.schema import PresetName
from i2v.jobs.model import Job, JsonObject
from i2v.web.api.events import watch
from i2v.web.context import AppContext
from i2v.web.page.uploads import read_upload, uploaded
from i2v.web.texts import translate


def add_endpoint(context: AppContext, folder: Path) -> None:
    """Add it to the `gr.Blocks` within which this is called.

    Args:
        folder: Gradio's own, where uploads arrive and from where files can be fetched.
    """

    async def generate(
        image: gr.FileData,
        prompt: str,
        preset: PresetName = "standard",
        negative_prompt: str | None = None,
        seed: int | None = None,
    ) -> gr.FileData:
        given: JsonObject = {"preset": preset, "negative_prompt": negative_prompt, "seed": seed}
        fields = {"prompt": prompt} | {name: value for name, value in given.items() if value is not None}
        try:
            picture = await run_sync(_read, image, folder)
            job = await _finish(context, await context.submit(fields, picture))
        except I2VError as error:
            raise gr.Error(error.message, print_exception=False) from error
        if job.status != "succeeded":
            raise gr.Error(translate(job.error, "en") if job.error else job.status, print_exception=False)
        video = await run_sync(save_file_to_cache, job.output, str(folder))
        return gr.FileData(path=video, orig_name=Path(video).name, mime_type="video/mp4")

    api(generate, api_name="generate", api_description="Make a video of an image and a prompt.")


def _read(image: object, folder: Path) -> bytes:
    return read_upload(uploaded(image.get("path") if isinstance(image, dict) else image, folder))


async def _finish(context: AppContext, job: Job) -> Job:
    async for now in watch(context.service, job.id, context.closing):
        job = now or job
    return job
