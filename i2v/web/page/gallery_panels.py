"""The finished clips as HTML: thumbnails that play, with what to do with each.

Pure: a page of jobs goes in, markup comes out, every text escaped. Addresses are relative, as in `panels`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from html import escape
from types import MappingProxyType

from i2v.core.schema import Language
from i2v.jobs.library import MAX_TAG
from i2v.jobs.model import Job, JobPage, JsonObject
from i2v.pipeline.enhance import MAX_SIDE
from i2v.service.job_files import VideoProblem
from i2v.web.page import panels
from i2v.web.page.allowed import Allows, everything
from i2v.web.texts import text

SMOOTH_FPS = 60  # of a clip that is made smoother
ENHANCEMENTS: Mapping[str, JsonObject] = {"smoother": {"output_fps": SMOOTH_FPS}, "larger": {"scale": 2}}
LONGER: JsonObject = {"seconds": 4}
MAX_TAGS = 40  # that have buttons
NO_TAGS: Mapping[str, int] = MappingProxyType({})
NO_PROBLEMS: Mapping[str, VideoProblem] = MappingProxyType({})


def clips(
    page: JobPage,
    language: Language,
    searched: bool,
    first: bool,
    problems: Mapping[str, VideoProblem] = NO_PROBLEMS,
    deletes: str = "",
    has_trash: bool = False,
    allows: Allows = everything,
    tags: Mapping[str, int] = NO_TAGS,
    tag: str = "",
) -> str:
    """Return a page of jobs that succeeded, and the buttons to the pages after and before it.

    Args:
        searched: the page is what a search has found.
        first: there is no page before this one.
        problems: what keeps videos from being played, by the ids of their jobs.
        deletes: what the service deletes by itself, in a line of plain text.
        has_trash: what is deleted can be restored, so that only a star makes a button ask.
        allows: tells which buttons there are.
        tags: those that there are, and how many clips have each; `tag`: the one that is looked for.
    """
    cards = "".join(_card(job, language, problems.get(job.id), has_trash, allows) for job in page.jobs)
    empty = text("gallery.none" if searched else "gallery.empty", language)
    picking = _picking(language, has_trash, allows, tags) if cards else ""
    return (
        _tag_bar(tags, tag, language)
        + picking
        + _page(cards, empty, page.next_cursor, language, first, deletes)
    )


def trash(
    page: JobPage, language: Language, first: bool, deletes: str = "", allows: Allows = everything
) -> str:
    """Return a page of what is in the trash; see `clips`."""
    cards = "".join(_trashed(job, language, allows) for job in page.jobs)
    return _page(cards, text("gallery.trash.empty", language), page.next_cursor, language, first, deletes)


def _page(cards: str, empty: str, older: str | None, language: Language, first: bool, deletes: str) -> str:
    cards = cards or f'<li class="i2v-empty">{escape(empty)}</li>'
    line = f'<p class="i2v-subdued i2v-kept">{escape(deletes)}</p>' if deletes else ""
    return f'<ul class="i2v-clips">{cards}</ul>{_turns(older, language, first)}{line}'


def _tag_bar(tags: Mapping[str, int], chosen: str, language: Language) -> str:
    """Return a button for each tag, the ones that most clips have first; again, it shows all clips."""
    names = sorted(tags, key=lambda name: (-tags[name], name))[:MAX_TAGS]
    if chosen and chosen not in names:  # the last clip has lost it
        names.append(chosen)
    if not names:
        return ""
    about = escape(text("gallery.tag.show", language))
    buttons = "".join(
        f'<button type="button" class="i2v-act" data-act="tag" data-text="{escape(name)}" title="{about}"'
        f' aria-pressed="{"true" if name == chosen else "false"}">{escape(name)} {tags.get(name, 0)}</button>'
        for name in names
    )
    label = escape(text("gallery.tags", language))
    return f'<div class="i2v-tags" role="group" aria-label="{label}"><span>{label}</span>{buttons}</div>'


def _tagging(tags: Mapping[str, int], language: Language) -> str:
    """Return a field for a tag, and buttons that give it to what is ticked, or take it away."""
    label = escape(text("gallery.tag.word", language))
    known = "".join(f'<option value="{escape(name)}">' for name in tags)
    add = _button("add_tag", "", text("gallery.tag.add", language))
    remove = _button("remove_tag", "", text("gallery.tag.remove", language))
    return (
        f'<input type="text" data-typed list="i2v-known-tags" maxlength="{MAX_TAG}" aria-label="{label}"'
        f' placeholder="{label}"><datalist id="i2v-known-tags">{known}</datalist>{add}{remove}'
    )


def _picking(language: Language, has_trash: bool, allows: Allows, tags: Mapping[str, int]) -> str:
    """Return what is done with the clips that are ticked; the script shows it once there are some."""
    every = escape(text("gallery.pick_all", language))
    asks = "" if has_trash else text("gallery.confirm", language)
    buttons = ""
    if allows("rerun_picked", None):
        buttons += _button("rerun_picked", "", text("gallery.rerun_picked", language))
        buttons += _button("delete_picked", "", text("gallery.delete_picked", language), asks)
        buttons += _tagging(tags, language)
    words = escape(text("gallery.picked", language, count="#"))
    packed = f'<a class="i2v-act" data-zip download>{escape(text("gallery.zip", language))}</a>'
    return (
        f'<div class="i2v-picking"><label><input type="checkbox" data-all> {every}</label>'
        f'<div class="i2v-picked" hidden><span role="status" data-words="{words}"></span>'
        f'<div class="i2v-acts">{packed}{buttons}</div></div></div>'
    )


def _trashed(job: Job, language: Language, allows: Allows) -> str:
    prompt = escape(panels.title(job, language))
    facts = " · ".join(f"<span>{escape(fact)}</span>" for fact in _facts(job, language))
    confirm = text("gallery.confirm", language)
    buttons = ""
    if allows("restore", job):
        buttons += _button("restore", job.id, text("gallery.restore", language))
        buttons += _button("purge", job.id, text("gallery.purge", language), confirm)
    return (
        f'<li class="i2v-clip" aria-label="{prompt}"><div class="i2v-thumb i2v-lost">'
        f'<img src="api/v1/jobs/{job.id}/thumbnail" alt="" loading="lazy"></div>'
        f'<p class="i2v-clip-prompt" title="{prompt}">{prompt}</p><p class="i2v-subdued">{facts}</p>'
        f'<div class="i2v-acts">{buttons}</div></li>'
    )


def _card(job: Job, language: Language, problem: VideoProblem | None, has_trash: bool, allows: Allows) -> str:
    address = f"api/v1/jobs/{job.id}"
    prompt = escape(panels.title(job, language))
    facts = " · ".join(f"<span>{escape(fact)}</span>" for fact in _facts(job, language))
    if problem is None:
        # For the mouse, and only to be looked at: the button below does the same for everybody.
        broken = escape(text("video.broken", language))
        thumb = (
            f'<div class="i2v-thumb" data-act="open" data-id="{job.id}" data-broken="{broken}"'
            ' aria-hidden="true">'
            f'<video src="{address}/video" poster="{address}/poster" preload="none" muted loop playsinline>'
            "</video></div>"
        )
        download = (
            f'<a class="i2v-act" href="{address}/video" download>{escape(text("download", language))}</a>'
        )
        pick = escape(text("gallery.pick", language))
        thumb += (
            f'<label class="i2v-pick"><input type="checkbox" data-pick value="{job.id}"'
            f' aria-label="{pick}: {prompt[:100]}"></label>'
        )
    else:
        thumb = f'<div class="i2v-thumb i2v-lost">{panels.lost(job, language, problem)}</div>'
        download = ""
    asks = "" if has_trash else text("gallery.confirm", language)
    if job.starred:
        asks = text("star.confirm", language)
    delete = (
        _button("delete", job.id, text("gallery.delete", language), asks) if allows("delete", job) else ""
    )
    star = panels.star(job, language) if allows("star", job) else ""
    acts = enhancements(job, allows) if problem is None else ()
    better = "".join(_button(act, job.id, text(f"enhance.{act}", language)) for act in acts)
    return (
        f'<li class="i2v-clip" aria-label="{prompt}">{thumb}'
        f'<p class="i2v-clip-prompt" title="{prompt}">{prompt}</p><p class="i2v-subdued">{facts}</p>'
        f'{_tags_of(job)}<div class="i2v-acts">{star}'
        f"{_button('open', job.id, text('gallery.open', language))}{download}{better}{delete}</div></li>"
    )


def enhancements(job: Job, allows: Allows = everything) -> tuple[str, ...]:
    """Return the names of what makes a better clip of this one: of `ENHANCEMENTS`, and "longer"."""
    ran = job.generation
    if ran is None or not allows("enhance", None):
        return ()
    is_of_use = {"smoother": ran.video_fps < SMOOTH_FPS, "larger": 2 * max(ran.width, ran.height) <= MAX_SIDE}
    better = tuple(name for name in ENHANCEMENTS if is_of_use[name])
    return (*better, "longer") if allows("longer", job) else better


def _tags_of(job: Job) -> str:
    chips = " ".join(f'<span class="i2v-chip">{escape(tag)}</span>' for tag in job.tags)
    return f'<p class="i2v-subdued">{chips}</p>' if chips else ""


def _facts(job: Job, language: Language) -> Iterable[str]:
    ran = job.generation
    if ran is not None:
        yield f"{ran.width} x {ran.height}"
        yield f"{text('result.seed', language)} {ran.seed}"
    if job.user is not None:
        yield job.user
    if job.finished_at is not None:
        yield datetime.fromtimestamp(job.finished_at).strftime(
            "%Y-%m-%d %H:%M"
        )  # this machine's, as in names


def _button(act: str, value: str, label: str, confirm: str = "") -> str:
    asks = f' data-confirm="{escape(confirm)}" aria-live="polite"' if confirm else ""
    return (
        f'<button type="button" class="i2v-act" data-act="{act}" data-id="{value}"{asks}>'
        f"{escape(label)}</button>"
    )


def _turns(older: str | None, language: Language, first: bool) -> str:
    buttons = "" if first else _button("newer", "", text("gallery.newer", language))
    if older is not None:
        buttons += _button("older", older, text("gallery.older", language))
    label = escape(text("gallery.turns", language))
    return f'<nav class="i2v-turns" aria-label="{label}">{buttons}</nav>' if buttons else ""
