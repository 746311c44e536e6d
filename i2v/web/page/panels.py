"""The output side of the page as HTML: how a job is, its preview, what came of it.

Pure: a job goes in, markup comes out, every text escaped. Addresses are relative, so that the page also works
behind a proxy's path. This module knows neither widgets nor the service.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import get_args

from i2v.core.crop import Crop
from i2v.core.durations import duration
from i2v.core.engine_spec import Capabilities, EngineSpec
from i2v.core.errors import Notice
from i2v.core.generation import Generation
from i2v.core.loras import Lora
from i2v.core.option_fields import option_fields
from i2v.core.results import Result
from i2v.core.schedules import evaluations
from i2v.core.schema import Language
from i2v.core.settings import StorageSettings
from i2v.jobs.model import Job
from i2v.media.video.animation import MAX_FRAMES, AnimationFormat
from i2v.service.job_files import VideoProblem
from i2v.web.option_texts import choice_label, option_label
from i2v.web.page.framing import part_of, shape_of
from i2v.web.texts import model_title, text, translate

GIB = 2**30


def idle(language: Language) -> str:
    return f'<div class="i2v-frame i2v-idle">{escape(text("idle", language))}</div>'


def preview(job: Job, language: Language) -> str:
    """Return the moving preview in a frame of the clip's shape; the picture before there is one."""
    shape = _shape(job)
    if job.preview_revision is None:
        return given(job, "i2v-waiting")
    address = f"api/v1/jobs/{job.id}/preview?revision={job.preview_revision}"
    alt = escape(text("preview.alt", language))
    return f'<div class="i2v-frame" style="{shape}"><img src="{address}" alt="{alt}"></div>'


def given(job: Job, kind: str = "") -> str:
    """Return the picture that the job was given, small, in a frame of the clip's shape."""
    ran = job.generation
    shape = "" if ran is None else shape_of((ran.width, ran.height), ran.fit)
    if ran is not None and ran.crop is not None and ran.fit != "pad":
        cut = (ran.crop.left, ran.crop.top, 1 - ran.crop.right, 1 - ran.crop.bottom)
        part = part_of(f"api/v1/jobs/{job.id}/thumbnail", "", cut, (ran.width, ran.height))
        return f'<div class="i2v-frame i2v-given {kind}">{part}</div>'
    return (
        f'<div class="i2v-frame i2v-given {kind}">'
        f'<img src="api/v1/jobs/{job.id}/thumbnail" alt="" style="{shape}"></div>'
    )


def _shape(job: Job) -> str:
    """Return the style of a frame of the clip's shape; "" where that is not known."""
    ran = job.generation
    return "" if ran is None else f"aspect-ratio: {ran.width} / {ran.height}"


def title(job: Job, language: Language) -> str:
    """Return the job's prompt, or that it cannot be read, as plain text."""
    return text("job.unreadable", language) if job.generation is None else job.generation.prompt


def status(job: Job, language: Language) -> str:
    """Return the phase, step and time left of a job that is not finished, with its progress."""
    return bar(state(job, language), job.progress) + notices(job.notices, language)


def bar(line: str, done: float) -> str:
    """Return a line of text over a bar, which is full at 1."""
    line, percent = escape(line), round(100 * done)
    return (
        f'<div class="i2v-status" role="status">{line}<div class="i2v-bar" role="progressbar"'
        f' aria-label="{line}" aria-valuenow="{percent}"><div style="width: {percent}%"></div></div></div>'
    )


def state(job: Job, language: Language, now: float | None = None) -> str:
    """Return in one line of plain text how the job is, and why it failed if it did.

    now: seconds since 1970; `None` for the clock's.
    """
    if job.error is not None:
        return f"{text('status.failed', language)} {translate(job.error, language)}"
    if job.finished_at is not None:
        return text(f"status.{job.status}", language)
    return " · ".join(_words(job, language, time.time() if now is None else now))


def _words(job: Job, language: Language, now: float) -> Iterable[str]:
    if job.cancel_requested:
        yield text("status.cancelling", language)
        return
    if job.queue_position is not None:
        key = "status.queued" if job.queue_position else "status.next"
        yield text(key, language, count=job.queue_position)
        return
    yield text(f"status.{job.phase}", language)
    if job.step is not None and job.total:
        key = "status.frame" if job.phase in ("decoding", "upscaling", "interpolating") else "status.step"
        yield text(key, language, step=job.step, total=job.total)
    if job.eta_seconds is not None:
        yield text("status.left", language, seconds=job.eta_seconds)
    if job.started_at is not None and now - job.started_at >= 1:
        yield text("status.elapsed", language, time=duration(now - job.started_at, language))


def notify(language: Language) -> dict[str, str]:
    """Return the box that switches notifications on, as `value`; `notify.js` does what it says."""
    label, denied = (escape(text(key, language)) for key in ("notify.label", "notify.denied"))
    box = f'<label><input type="checkbox"> {label}</label>'
    return {"value": f'{box}<p class="i2v-error i2v-denied" role="alert" hidden>{denied}</p>'}


def plain(line: str, kind: str = "") -> str:
    """Return one line of text; `kind` "i2v-error" for what went wrong."""
    role = "alert" if kind else "status"
    return f'<div class="i2v-status {kind}" role="{role}">{escape(line)}</div>'


def star(job: Job, language: Language) -> str:
    """Return the button that gives the job a star or takes it away (`data-act`: star)."""
    label = text("star.remove" if job.starred else "star.add", language)
    name = escape(f"{label}: {title(job, language)[:100]}")
    return (
        f'<button type="button" class="i2v-act i2v-star" data-act="star" data-id="{job.id}"'
        f' aria-label="{name}" title="{escape(label)}">{"★" if job.starred else "☆"}</button>'
    )


def trashed(count: int, days: float, language: Language) -> str:
    """Return that so many jobs were put into the trash, with a button to undo it (`data-act`: undo)."""
    line = text("trash.one", language, days=f"{days:g}")
    if count > 1:
        line = text("trash.many", language, count=count, days=f"{days:g}")
    undo = escape(text("trash.undo", language))
    return (
        f'<div class="i2v-status i2v-undo" role="status">{escape(line)} '
        f'<button type="button" class="i2v-act" data-act="undo">{undo}</button></div>'
    )


def error(message: Mapping[str, object], language: Language) -> str:
    return plain(translate(message, language), "i2v-error")


def notices(listed: Iterable[Notice], language: Language) -> str:
    lines = "".join(f"<li>{escape(translate(notice.to_dict(), language))}</li>" for notice in listed)
    return f'<ul class="i2v-notices">{lines}</ul>' if lines else ""


def ending(job: Job, language: Language, problem: VideoProblem | None = None) -> str:
    """Return what a finished job has to say: done and where to get it, cancelled, or why it failed.

    problem: what keeps its video from being played.
    """
    if job.status == "failed" and job.error is not None:
        return plain(text("status.failed", language), "i2v-error") + error(job.error, language)
    line = plain(text(f"status.{job.status}", language))
    if job.status != "succeeded":
        return line
    if problem is not None:
        return line + plain(text(f"video.where.{problem}", language, path=job.output), "i2v-error")
    name, moving = Path(job.output), []
    if 0 < job.video_frames <= MAX_FRAMES:
        moving = [
            (f"animation?format={kind}", f"{name.stem}.{kind}", f"animation.{kind}")
            for kind in get_args(AnimationFormat)
        ]
    links = (
        f'<a class="i2v-download" href="api/v1/jobs/{job.id}/{what}" download="{escape(file)}">'
        f"{escape(text(key, language))}</a>"
        for what, file, key in (
            ("video", name.name, "download"),
            ("last-frame", f"{name.stem}.png", "last_frame"),
            *moving,
        )
    )
    return f'{line}<div class="i2v-downloads">{"".join(links)}{star(job, language)}</div>'


def video(job: Job, language: Language, problem: VideoProblem | None = None) -> str:
    """Return the player of a job that succeeded; with a `problem`, its picture and a line instead."""
    shape = _shape(job)
    if problem is not None:
        return f'<div class="i2v-frame i2v-lost" style="{shape}">{lost(job, language, problem)}</div>'
    broken = escape(text("video.broken", language))
    return (
        f'<div class="i2v-frame" style="{shape}" data-broken="{broken}">'
        f'<video src="api/v1/jobs/{job.id}/video" controls autoplay loop muted playsinline></video>'
        f"{_photo(job, language)}</div>"
    )


def _photo(job: Job, language: Language) -> str:
    """Return the job's picture, to be laid over its clip up to a divider; `page.js` shows and moves it."""
    keys = ("photo.compare", "photo.alt", "photo.divider")
    button, photo, divider = (escape(text(key, language)) for key in keys)
    return (
        f'<button type="button" class="i2v-act i2v-photo-open" aria-pressed="false">{button}</button>'
        f'<img class="i2v-photo" data-src="api/v1/jobs/{job.id}/picture" alt="{photo}" hidden>'
        f'<input type="range" class="i2v-photo-divider" min="0" max="100" value="50" aria-label="{divider}"'
        " hidden>"
    )


def lost(job: Job, language: Language, problem: VideoProblem) -> str:
    """Return what stands in the place of a video that cannot be played."""
    line = escape(text(f"video.{problem}", language))
    return f'<img src="api/v1/jobs/{job.id}/thumbnail" alt="" loading="lazy"><span>{line}</span>'


def retention(storage: StorageSettings, language: Language) -> str:
    """Return in one line of plain text what the service deletes by itself; "" where it deletes nothing."""
    limits = []
    if storage.keep_days:
        limits.append(text("storage.days", language, days=f"{storage.keep_days:g}"))
    if storage.keep_gigabytes:
        limits.append(text("storage.gigabytes", language, gigabytes=f"{storage.keep_gigabytes:g}"))
    if storage.keep_jobs:
        limits.append(text("storage.jobs", language, jobs=storage.keep_jobs))
    if limits:
        limits.append(text("storage.starred", language))
    if storage.trash_days:
        limits.append(text("storage.trash", language, days=f"{storage.trash_days:g}"))
    return ("" if language == "zh-CN" else " ").join(limits)


def result(job: Job, language: Language, spec: EngineSpec | None = None) -> str:
    """Return what was run, where the video is, and what to know of it, of a job that succeeded.

    spec: its engine, where that is still known: what it has no use for is left out.
    """
    rows = "".join(
        f"<dt>{escape(text(f'result.{key}', language))}</dt><dd>{escape(value)}</dd>"
        for key, value in _facts(job, language, spec)
        if value
    )
    listed = job.notices if job.result is None else job.result.notices
    return f'{notices(listed, language)}<dl class="i2v-facts">{rows}</dl>'


def _facts(job: Job, language: Language, spec: EngineSpec | None) -> Iterable[tuple[str, str]]:
    made, ran = job.result, job.generation
    if ran is not None:
        can = Capabilities() if spec is None else spec.capabilities
        yield "prompt", ran.prompt
        yield "negative_prompt", ran.negative_prompt
        yield "size", f"{ran.width} x {ran.height}"
        yield "crop", "" if ran.crop is None else _crop(ran.crop, language)
        yield "length", text("result.length.value", language, frames=job.video_frames, fps=ran.video_fps)
        yield "steps", _steps(ran, language)
        yield "guidance", str(ran.guidance_scale) if can.guidance_scale else ""
        yield "seed", str(ran.seed) if can.seed else ""
        yield "options", _options(ran, spec, language)
        yield "checkpoint", ran.checkpoint
        yield "story", " · ".join(f"{scene.seconds:g} s: {scene.prompt}" for scene in ran.story)
        yield "loras", ", ".join(map(_lora, ran.loras))
        yield "engine", ran.engine if spec is None else model_title(spec.title, language)
    if made is not None:
        yield "seconds", text("result.seconds.value", language, seconds=f"{sum(made.seconds.values()):.1f}")
        yield "memory", _memory(made, language)
        yield "made_with", _made_with(made)
    yield "path", job.output if made is None else str(made.path)


def _lora(lora: Lora) -> str:
    second = "" if lora.strength_2 is None else f" / {lora.strength_2:g}"
    return f"{lora.name} ({lora.strength:g}{second})"


def _crop(crop: Crop, language: Language) -> str:
    sides = {name: f"{100 * getattr(crop, name):.3g}" for name in ("left", "top", "right", "bottom")}
    return text("result.crop.value", language, **sides)


def _steps(ran: Generation, language: Language) -> str:
    steps = ran.num_inference_steps
    if not steps:  # the engine has none
        return ""
    made = evaluations(ran.speed, steps, ran.strength)
    if ran.speed == "fast":
        return text("result.steps.fast", language, steps=steps, evaluations=made)
    if made < steps:
        return text("result.steps.last", language, steps=steps, evaluations=made)
    return str(steps)


def _options(ran: Generation, spec: EngineSpec | None, language: Language) -> str:
    fields = {} if spec is None else {field.name: field for field in option_fields(spec.options_model)}
    parts = []
    for name, value in ran.options.items():
        field = fields.get(name)
        label = name if field is None else option_label(ran.engine, field, language)
        shown_value = value if field is None else choice_label(ran.engine, field, value, language)
        if isinstance(value, bool):
            shown_value = text("option.yes" if value else "option.no", language)
        elif isinstance(value, float):
            shown_value = f"{value:.6g}"
        parts.append(f"{label}: {shown_value}")
    return " · ".join(parts)


def _made_with(made: Result) -> str:
    """Return device, dtype, kernels and versions; "" where an earlier version did not tell."""
    if made.made_with is None:
        return ""
    used, named = made.made_with, ("i2v", "torch", "ffmpeg")
    versions = (f"{name} {used.versions[name]}" for name in named if name in used.versions)
    kernels = [] if used.kernels in ("none", "torch") else [used.kernels]
    return " · ".join([used.device, used.dtype, *kernels, *versions])


def _memory(made: Result, language: Language) -> str:
    """Return what the hungriest stage took, and what was estimated for it; "" where it was not measured."""
    measured = [(stage.bytes, stage.estimated_bytes) for stage in made.stages if stage.bytes]
    if not measured:
        return ""
    used, estimated = max(measured, key=lambda stage: stage[0])
    key = "result.memory.value" if estimated is None else "result.memory.beside"
    return text(key, language, used=f"{used / GIB:.1f}", estimated=f"{(estimated or 0) / GIB:.1f}")
