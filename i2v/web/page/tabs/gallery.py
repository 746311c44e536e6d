"""The tab of finished clips: look through them, search, open one with its settings, delete, drop one in.

Owns which event of its widgets calls what. What is shown follows the store as long as the tab is looked at.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import gradio as gr
from anyio.to_thread import run_sync
from gradio.events import Dependency

from i2v.core.errors import I2VError
from i2v.core.schema import Language
from i2v.service.job_files import video_problem
from i2v.web.page import gallery_panels, panels
from i2v.web.page.tabs.live import DISK_SECONDS, View, follow, live
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
from i2v.web.texts import text, translate

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


@dataclass
class Looking(View):
    """What one window looks at.

    cursors: where the pages begin that were turned, the present one last; empty for the newest clips.
    """

    search: str = ""
    cursors: tuple[str, ...] = ()


class GalleryTab:
    """Its widgets, made where this is called within a `gr.Tab`."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._context = shared.context
        self._service = shared.context.service
        labels = shared.labels
        with gr.Row():
            with gr.Column(scale=3, min_width=280):
                self.search = labels.of(
                    gr.Textbox(max_lines=1, elem_id="i2v-gallery-search"),
                    label="gallery.search",
                    placeholder="gallery.search.placeholder",
                )
                self.message = gr.HTML(elem_id="i2v-gallery-message")
            with gr.Column(scale=2, min_width=280):
                self.dropped = dropped_files("i2v-gallery-drop", "gallery.drop", labels, ".mp4")
        self.clips = acting_html("i2v-gallery", _PLAYING + UNPLAYABLE)
        self.view = gr.State(Looking())

    def wire(self, title: gr.Tab, switched: Dependency) -> Wired:
        """See `page.Tab`."""
        shared = self._shared
        here = shared.here() | {self.view}
        looked = live(title, self.follow, here, [self.clips])
        switched.then(self.speak, here, **QUIET)
        # Not `input`: that is for keys alone, and not for what is pasted or dictated.
        self.search.change(self.seek, here | {self.search}, **QUIET)
        acted = self.clips.click(self.act, here, [shared.opened, self.message], **QUIET)
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
        try:
            page = self._service.page("succeeded", cursors[-1] if cursors else None, CLIPS, search)
        except I2VError as error:
            return {self.clips: panels.error(error.to_dict(), language)}
        problems = {job.id: problem for job in page.jobs if (problem := video_problem(job)) is not None}
        shown = gallery_panels.clips(
            page,
            language,
            searched=search != "",
            first=not cursors,
            problems=problems,
            deletes=panels.retention(self._context.settings.storage, language),
        )
        return {self.clips: shown}

    async def speak(self, values: Values) -> None:
        """Take over the page's language."""
        values[self.view].language = self._shared.language_of(values)

    async def seek(self, values: Values) -> None:
        """Look for the newest clips that have this in their prompts."""
        looking: Looking = values[self.view]
        looking.search, looking.cursors = str(values[self.search] or "").strip(), ()

    async def act(self, values: Values, event: gr.EventData) -> Updates:
        """Do what a button of the list says."""
        action = Action.of(event)
        looking: Looking = values[self.view]
        updates: Updates = {self.message: ""}
        if action.act == "open":
            updates[self._shared.opened] = Opened(job=action.id)
        elif action.act == "delete":
            updates[self.message] = await self._delete(action.id, self._shared.language_of(values))
        elif action.act == "older":
            looking.cursors = (*looking.cursors, action.id)
        elif action.act == "newer":
            looking.cursors = looking.cursors[:-1]
        return updates

    async def _delete(self, job_id: str, language: Language) -> str:
        try:
            deleted = await run_sync(self._service.delete, job_id)
        except I2VError as error:  # somebody else was faster, or the file cannot be removed
            return panels.error(error.to_dict(), language)
        if deleted.video == "kept":
            return panels.plain(text("gallery.deleted.kept", language, path=deleted.job.output))
        return panels.plain(text("gallery.deleted", language))

    async def take_settings(self, values: Values) -> Updates:
        """Hand the settings of a clip that was dropped to the first tab."""
        language = self._shared.language_of(values)
        updates: Updates = {self.dropped: None, self.message: ""}
        if not values[self.dropped]:
            return updates
        [path] = values[self.dropped]
        try:
            found = await self._context.heavy(lambda: self._service.settings_of(path))
        except I2VError as error:
            return updates | {self.message: panels.error(error.to_dict(), language)}
        # Over all tabs, since the first one is shown next.
        gr.Info(text("gallery.loaded", language), title="")
        if "prompt" not in found.fields:
            gr.Warning(text("gallery.no_prompt", language), title="")
        for notice in found.notices:
            gr.Warning(translate(notice.to_dict(), language), title="")
        return updates | {self._shared.opened: Opened(fields=found.fields)}
