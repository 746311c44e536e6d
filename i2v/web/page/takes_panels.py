"""The takes of a window as HTML: a strip of what was made, and two of them beside each other.

Pure: jobs go in, markup comes out, every text escaped. Addresses are relative, as in `panels`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from i2v.core.generation import Generation
from i2v.core.schema import Language
from i2v.jobs.model import Job
from i2v.web.page import panels
from i2v.web.texts import text

# What may differ between two takes, by the name of its text.
_COMPARED = ("prompt", "size", "length", "steps", "guidance", "seed", "engine")


def strip(jobs: Sequence[Job], shown: str, beside: str, language: Language) -> str:
    """Return the takes in a row, the first one first; "" for fewer than two.

    Args:
        shown, beside: the ids of the takes that are looked at.
    """
    if len(jobs) < 2:
        return ""
    items = "".join(_take(number, job, shown, beside, language) for number, job in enumerate(jobs, 1))
    label = escape(text("takes.label", language))
    return f'<h3>{label}</h3><ol class="i2v-takes" aria-label="{label}">{items}</ol>'


def _take(number: int, job: Job, shown: str, beside: str, language: Language) -> str:
    is_done, is_shown = job.status == "succeeded", job.id == shown
    picture = "poster" if is_done else "thumbnail"
    words = "" if is_done else panels.state(job, language)
    seed = "" if job.generation is None else f"{text('result.seed', language)} {job.generation.seed}"
    title = escape(f"{text('takes.take', language, number=number)} · {seed}")
    current = ' aria-current="true"' if is_shown else ""
    compare = ""
    if is_done and not is_shown:
        key = "takes.alone" if job.id == beside else "takes.compare"
        compare = (
            f'<button type="button" class="i2v-act" data-act="compare" data-id="{job.id}"'
            f' aria-label="{escape(text(key, language))}: {title}">{escape(text(key, language))}</button>'
        )
    return (
        f'<li><button type="button" class="i2v-take" data-act="take" data-id="{job.id}" title="{title}"'
        f"{current}>"
        f'<img src="api/v1/jobs/{job.id}/{picture}" alt="{title}"><span>{escape(words)}</span></button>'
        f"{compare}</li>"
    )


def side_by_side(first: Job, second: Job, language: Language) -> str:
    """Return two clips that are played in step (`page.js`), and what they were made with differently."""
    videos = "".join(
        f'<video src="api/v1/jobs/{job.id}/video" controls autoplay loop muted playsinline></video>'
        for job in (first, second)
    )
    rows = "".join(
        f"<tr><th>{escape(text(f'result.{name}', language))}</th><td>{escape(one)}</td>"
        f"<td>{escape(other)}</td></tr>"
        for name, one, other in _differences(first, second, language)
    )
    table = f'<table class="i2v-differences">{rows}</table>' if rows else ""
    return f'<div class="i2v-frame i2v-pair">{videos}</div>{table}'


def _differences(one: Job, other: Job, language: Language) -> Iterable[tuple[str, str, str]]:
    if one.generation is None or other.generation is None:
        return
    first, second = (
        _facts(job, ran, language) for job, ran in ((one, one.generation), (other, other.generation))
    )
    for name in _COMPARED:
        if first[name] != second[name]:
            yield name, first[name], second[name]


def _facts(job: Job, ran: Generation, language: Language) -> dict[str, str]:
    return {
        "prompt": ran.prompt,
        "size": f"{ran.width} x {ran.height}",
        "length": text("result.length.value", language, frames=job.video_frames, fps=ran.video_fps),
        "steps": str(ran.num_inference_steps),
        "guidance": str(ran.guidance_scale),
        "seed": str(ran.seed),
        "engine": ran.engine,
    }
