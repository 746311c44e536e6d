"""The tab of finished clips: look through them, search, sort, give stars, open one with its settings, delete
and restore, do something with several, drop one in.

Owns which event of its widgets calls what. What is shown follows the store as long as the tab is looked at.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import get_args

import gradio as gr
from anyio.to_thread import run_sync
from gradio.events import Dependency

from i2v.core.errors import I2VError
from i2v.core.schema import Language
from i2v.jobs.model import Filters, SortOrder
from i2v.service.job_files import video_problem
from i2v.web.page import gallery_panels, panels
from i2v.web.page.allowed import allows_by
from i2v.web.page.tabs.deleting import Undoable, said, undo
from i2v.web.page.tabs.live import DISK_SECONDS, follow, live
from i2v.web.page.tabs.widgets import (
    QUIET,
    UNPLAYABLE,
    Action,
    Opened,
    Shared,
    Updates,
    Values,
    Wired,
    acting_html,
    dropped_files,
)
from i2v.web.texts import model_title, text, translate

CLIPS = 24  # on a page
POLL_SECONDS = 0.5  # a search through 100,000 prompts takes a fifth of it

# A clip plays while the mouse or the keyboard is on its card, for those who have not asked for less motion.
_PLAYING = """
const still = matchMedia("(prefers-reduced-motion: reduce)");
const play = event => {
  const video = event.target.closest(".i2v-clip")?.querySelector("video");
  if (!video || !video.paused || still.matches) return;
  video.muted = true;
  video.play().catch(() => {});  // the mouse has left before it began, or the file is gone
};
const stop = event => {
  const card = event.target.closest(".i2v-clip");
  if (!card || card.contains(event.relatedTarget)) return;
  const video = card.querySelector("video");
  video.pause();
  video.currentTime = 0;
};
element.addEventListener("mouseover", play);
element.addEventListener("focusin", play);
element.addEventListener("mouseout", stop);
element.addEventListener("focusout", stop);
"""
# What is ticked stays so when the list is shown anew, as long as it is on the page.
_PICKING = """
const picked = new Set();
let typed = "";
const boxes = () => [...element.querySelectorAll("input[data-pick]")];
const showPicked = () => {
  const here = boxes(), bar = element.querySelector(".i2v-picked");
  for (const box of here) box.checked = picked.has(box.value);
  const field = element.querySelector("input[data-typed]");
  if (field && field.value !== typed && document.activeElement !== field) field.value = typed;
  if (!bar) return;
  const ids = here.filter(box => box.checked).map(box => box.value);
  const all = element.querySelector("input[data-all]"), words = bar.querySelector("[data-words]");
  const line = words.dataset.words.replace("#", ids.length);
  if (words.textContent !== line) words.textContent = line;
  if (bar.hidden !== (ids.length === 0)) bar.hidden = ids.length === 0;
  all.checked = ids.length > 0 && ids.length === here.length;
  bar.querySelector("[data-zip]").setAttribute("href", `api/v1/archive?jobs=${ids.join(",")}`);
};
element.addEventListener("input", event => {
  if (event.target.matches("input[data-typed]")) typed = event.target.value;
});
element.addEventListener("keydown", event => {
  if (event.key !== "Enter" || !event.target.matches("input[data-typed]")) return;
  element.querySelector("[data-act=add_tag]").click();
});
element.addEventListener("change", event => {
  const box = event.target;
  if (box.matches("input[data-all]")) {
    for (const each of boxes()) box.checked ? picked.add(each.value) : picked.delete(each.value);
  } else if (box.matches("input[data-pick]")) {
    box.checked ? picked.add(box.value) : picked.delete(box.value);
  } else return;
  showPicked();
});
const changes = {childList: true, subtree: true, attributeFilter: ["value", "hidden"]};
new MutationObserver(showPicked).observe(element, changes);
"""


@dataclass
class Looking(Undoable):
    """What one window looks at.

    Attributes:
        show: which clips: "all", "starred", "trash".
        engine: the name of the one that made them; "" for any.
        tag: one that they have; "" for any.
        days: made within so many, 0 for any time.
        cursors: where the pages begin that were turned, the present one last; empty for the first clips.
    """

    search: str = ""
    show: str = "all"
    engine: str = ""
    tag: str = ""
    days: int = 0
    order: SortOrder = "newest"
    cursors: tuple[str, ...] = ()

    @property
    def filters(self) -> Filters:
        since = time.time() - 86400 * self.days if self.days else None
        starred, deleted = self.show == "starred", self.show == "trash"
        tag = "" if deleted else self.tag
        return Filters(starred, self.engine, since, deleted=deleted, order=self.order, tag=tag)

    @property
    def is_narrow(self) -> bool:
        """Tell whether there may be clips that are not looked for."""
        return bool(self.search or self.engine or self.tag or self.days or self.show != "all")


class GalleryTab:
    """Its widgets, made where this is called within a `gr.Tab`."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._context = shared.context
        self._service = shared.context.service
        self._allows = allows_by(self._service.engines)
        labels = shared.labels
        with gr.Row():
            with gr.Column(scale=3, min_width=280):
                self.search = labels.of(
                    gr.Textbox(max_lines=1, elem_id="i2v-gallery-search"),
                    label="gallery.search",
                    placeholder="gallery.search.placeholder",
                )
            with gr.Column(scale=2, min_width=280):
                self.dropped = dropped_files("i2v-gallery-drop", "gallery.drop", labels, ".mp4")
        with gr.Row(elem_id="i2v-gallery-filters"):
            self.show = self._choice("gallery.show", ("all", "starred", "trash"))
            self.engine = labels.of(
                gr.Dropdown(self._engines("en"), value="", filterable=False, min_width=140),
                choices=self._engines,
                label="gallery.engine",
            )
            self.when = self._choice("gallery.when", ("0", "1", "7", "30"))
            self.order = self._choice("gallery.order", get_args(SortOrder))
        self.message = acting_html("i2v-gallery-message")
        self.clips = acting_html("i2v-gallery", _PLAYING + UNPLAYABLE + _PICKING)
        self.view = gr.State(Looking())

    def _choice(self, key: str, names: Sequence[str]) -> gr.Dropdown:
        """Return a choice of texts `KEY.NAME`, the first one chosen."""

        def choices(language: Language) -> list[tuple[str, str]]:
            return [(text(f"{key}.{name}", language), name) for name in names]

        widget = gr.Dropdown(choices("en"), value=names[0], filterable=False, min_width=140)
        return self._shared.labels.of(widget, choices=choices, label=key)

    def _engines(self, language: Language) -> list[tuple[str, str]]:
        specs = self._service.engines.values()
        every = (text("gallery.engine.all", language), "")
        return [every, *((model_title(spec.title, language), spec.name) for spec in specs)]

    def wire(self, title: gr.Tab, switched: Dependency) -> Wired:
        """See `page.Tab`."""
        shared = self._shared
        here = shared.here() | {self.view}
        looked = live(title, self.follow, here, [self.clips])
        switched.then(self.speak, here, **QUIET)
        # Not `input`: that is for keys alone, and not for what is pasted or dictated.
        self.search.change(self.seek, here | {self.search}, **QUIET)
        narrowing = {self.show, self.engine, self.when, self.order}
        gr.on([each.input for each in narrowing], self.narrow, here | narrowing, **QUIET)
        outputs = [shared.opened, self.message]
        acted = self.clips.click(self.act, here, outputs, **QUIET)
        self.message.click(self.act, here, outputs, **QUIET)
        dropped = self.dropped.upload(
            self.take_settings, here | {self.dropped}, [shared.opened, self.dropped, self.message], **QUIET
        )
        return Wired(opens=(acted, dropped), live=(looked,))

    async def follow(self, values: Values) -> AsyncIterator[Updates]:
        """Show the newest clips, then what else is looked for or has changed."""
        looking: Looking = values[self.view]
        looking.language, looking.cursors = self._shared.language_of(values), ()
        # Only what is new is shown: a clip that plays would begin again.
        closing = self._context.closing
        news = follow(looking, lambda: self._found(looking), closing, POLL_SECONDS, self._version)
        async for updates in news:
            yield updates

    def _version(self) -> object:
        return self._service.revision(), time.time() // DISK_SECONDS

    def _found(self, looking: Looking) -> Updates:
        cursors, search, language = looking.cursors, looking.search, looking.language
        storage = self._context.settings.storage
        deletes = panels.retention(storage, language)
        try:
            page = self._service.page(
                None if looking.show == "trash" else "succeeded",
                cursors[-1] if cursors else None,
                CLIPS,
                search,
                looking.filters,
            )
        except I2VError as error:
            return {self.clips: panels.error(error.to_dict(), language)}
        if looking.show == "trash":
            return {self.clips: gallery_panels.trash(page, language, not cursors, deletes, self._allows)}
        problems = {job.id: problem for job in page.jobs if (problem := video_problem(job)) is not None}
        shown = gallery_panels.clips(
            page,
            language,
            searched=looking.is_narrow,
            first=not cursors,
            problems=problems,
            deletes=deletes,
            has_trash=storage.trash_days > 0,
            allows=self._allows,
            tags=self._service.library.tags(),
            tag=looking.tag,
        )
        return {self.clips: shown}

    async def speak(self, values: Values) -> None:
        """Take over the page's language."""
        values[self.view].language = self._shared.language_of(values)

    async def seek(self, values: Values) -> None:
        """Look for the newest clips that have this in their prompts."""
        looking: Looking = values[self.view]
        looking.search, looking.cursors = str(values[self.search] or "").strip(), ()

    async def narrow(self, values: Values) -> None:
        """Look for the clips that are chosen, in the order that is chosen."""
        looking: Looking = values[self.view]
        show, days, order = (values[each] for each in (self.show, self.when, self.order))
        looking.show = show if show in ("all", "starred", "trash") else "all"
        looking.days = int(days) if days in ("1", "7", "30") else 0
        looking.order = order if order in get_args(SortOrder) else "newest"
        looking.engine, looking.cursors = str(values[self.engine] or ""), ()

    async def act(self, values: Values, event: gr.EventData) -> Updates:
        """Do what a button of the list says."""
        action = Action.of(event)
        looking: Looking = values[self.view]
        updates: Updates = {self.message: ""}
        if action.act == "open":
            updates[self._shared.opened] = Opened(job=action.id)
        elif action.act == "rerun_picked":
            updates[self.message] = await self._rerun(action.picked, self._shared.language_of(values))
        elif action.act in (*gallery_panels.ENHANCEMENTS, "longer"):
            updates[self.message] = await self._enhance(action, self._shared.language_of(values))
        elif action.act == "tag":
            looking.tag, looking.cursors = "" if looking.tag == action.text else action.text, ()
        elif action.act == "older":
            looking.cursors = (*looking.cursors, action.id)
        elif action.act == "newer":
            looking.cursors = looking.cursors[:-1]
        else:
            updates[self.message] = await run_sync(
                self._changed, looking, action, self._shared.language_of(values)
            )
        return updates

    def _changed(self, looking: Looking, action: Action, language: Language) -> str:
        """Do what changes jobs; return what there is to say of it."""
        library, gone = self._service.library, text("gallery.deleted", language)
        try:
            if action.act == "star":
                library.star(action.id, not self._service.get(action.id).starred)
            elif action.act == "delete":
                return said(looking, [library.trash(action.id)], gone, language)
            elif action.act == "delete_picked" and action.picked:
                return said(looking, library.trash_each(action.picked), gone, language)
            elif action.act in ("add_tag", "remove_tag"):
                is_removed = action.act == "remove_tag"
                count = library.tag_each(action.picked, action.text, is_removed)
                key = "gallery.tag.removed" if is_removed else "gallery.tag.added"
                return panels.plain(text(key, language, count=count))
            elif action.act == "purge":
                return said(looking, [library.delete(action.id)], gone, language)
            elif action.act == "undo":
                return undo(looking, self._service, language)
            elif action.act == "restore":
                library.restore(action.id)
                return panels.plain(text("gallery.restored", language))
        except I2VError as error:  # somebody else was faster, or the file cannot be removed
            return panels.error(error.to_dict(), language)
        return ""

    async def _rerun(self, jobs: Sequence[str], language: Language) -> str:
        """Make jobs anew, as far as the queue takes them; return what there is to say."""
        count, trouble = 0, ""
        for job in jobs:
            try:
                await self._context.submit_again(job)
                count += 1
            except I2VError as error:
                trouble = panels.error(error.to_dict(), language)
                break
        line = panels.plain(text("gallery.rerun.done", language, count=count)) if count else ""
        return line + trouble

    async def _enhance(self, action: Action, language: Language) -> str:
        """Ask for a better clip of one; return what there is to say."""
        try:
            if action.act == "longer":
                await self._context.extend(action.id, dict(gallery_panels.LONGER))
            else:
                await self._context.enhance(action.id, dict(gallery_panels.ENHANCEMENTS[action.act]))
        except I2VError as error:
            return panels.error(error.to_dict(), language)
        return panels.plain(text("enhance.done", language))

    async def take_settings(self, values: Values) -> Updates:
        """Hand the settings of a clip that was dropped to the first tab."""
        language = self._shared.language_of(values)
        updates: Updates = {self.dropped: None, self.message: ""}
        if not values[self.dropped]:
            return updates
        [path] = values[self.dropped]
        try:
            found = await self._context.heavy(lambda: self._service.settings_of(path))
            job = await self._context.heavy(lambda: self._service.job_of(path))
        except I2VError as error:
            return updates | {self.message: panels.error(error.to_dict(), language)}
        # Over all tabs, since the first one is shown next.
        gr.Info(text("gallery.loaded" if job is None else "gallery.loaded.whole", language), title="")
        if "prompt" not in found.fields:
            gr.Warning(text("gallery.no_prompt", language), title="")
        for notice in found.notices:
            gr.Warning(translate(notice.to_dict(), language), title="")
        picture_of = "" if job is None else job.id
        return updates | {self._shared.opened: Opened(fields=found.fields, picture_of=picture_of)}
