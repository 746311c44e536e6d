"""The tab of all jobs: what runs and waits, in which order, or paused; what came of the others.

Owns which event of its widgets calls what. What is shown follows the store as long as the tab is looked at.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import gradio as gr
from anyio.to_thread import run_sync
from gradio.events import Dependency

from i2v.core.errors import I2VError
from i2v.web.page import panels, queue_panels
from i2v.web.page.allowed import allows
from i2v.web.page.tabs.deleting import Undoable, said, undo
from i2v.web.page.tabs.live import follow, live
from i2v.web.page.tabs.widgets import QUIET, Action, Opened, Shared, Updates, Values, Wired, acting_html
from i2v.web.texts import text

PAGE = 20  # finished jobs
POLL_SECONDS = 0.5
AGAIN_SECONDS = 10  # "40 s so far" and "3 min ago" are right for so long
PLACES = {"first": -10_000, "up": -1, "down": 1}  # how far a job is moved by each button


@dataclass
class QueueView(Undoable):
    """`cursors`: where the pages of finished jobs begin that were turned, the present one last."""

    cursors: tuple[str, ...] = ()


class QueueTab:
    """Its widgets, made where this is called within a `gr.Tab`."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._context = shared.context
        self._service = shared.context.service
        self.message = acting_html("i2v-queue-message")
        # Three, so that a step of the job that runs does not send all the others again.
        self.running = acting_html("i2v-queue-running")
        self.waiting = acting_html("i2v-queue-waiting")
        self.finished = acting_html("i2v-queue-finished")
        self.view = gr.State(QueueView())

    def wire(self, title: gr.Tab, switched: Dependency) -> Wired:
        """See `page.Tab`."""
        here = self._shared.here() | {self.view}
        lists = (self.running, self.waiting, self.finished)
        outputs = [self.message, *lists]
        switched.then(self.switch, here, outputs, **QUIET)
        acted = [part.click(self.act, here, [self._shared.opened, *outputs], **QUIET) for part in outputs]
        return Wired(opens=tuple(acted), live=(live(title, self.follow, here, outputs),))

    async def follow(self, values: Values) -> AsyncIterator[Updates]:
        """Show the jobs, from the newest page, and again when something has changed."""
        view: QueueView = values[self.view]
        view.language, view.cursors = self._shared.language_of(values), ()
        closing = self._context.closing
        async for updates in follow(view, lambda: self._show(view), closing, POLL_SECONDS, self._version):
            yield updates

    async def switch(self, values: Values) -> Any:
        """Show the same in another language, if it is looked at."""
        view: QueueView = values[self.view]
        view.language = self._shared.language_of(values)
        return await run_sync(self._show, view) if view.follower else gr.skip()

    async def act(self, values: Values, event: gr.EventData) -> Updates:
        """Do what a button says."""
        view: QueueView = values[self.view]
        action = Action.of(event)
        if action.act == "open":
            return {self._shared.opened: Opened(job=action.id)}
        if action.act == "older":
            view.cursors = (*view.cursors, action.id)
        elif action.act == "newer":
            view.cursors = view.cursors[:-1]
        try:
            line = await run_sync(self._done, view, action)
        except I2VError as error:  # it has just finished, or the queue is full
            line = panels.error(error.to_dict(), view.language)
        return await run_sync(self._show, view) | ({self.message: line} if line else {})

    def _done(self, view: QueueView, action: Action) -> str:
        """Do what changes jobs or the queue; return what there is to say of it."""
        service, language = self._service, view.language
        simple = {
            "cancel": lambda: service.cancel(action.id),
            "retry": lambda: service.retry(action.id),
            "pause": service.queue.pause,
            "resume": service.queue.resume,
        }
        if action.act in simple:
            simple[action.act]()
        elif action.act in PLACES:
            service.queue.move_by(action.id, PLACES[action.act])
        elif action.act == "delete":
            return said(view, [service.library.trash(action.id)], text("queue.deleted", language), language)
        elif action.act == "clear":
            deleted = service.library.trash_unsuccessful()
            return said(view, deleted, text("queue.cleared", language, count=len(deleted)), language)
        elif action.act == "undo":
            return undo(view, service, language)
        elif action.act == "cancel_all":
            count = service.queue.cancel_all()
            return panels.plain(text("queue.cancelled_all", language, count=count))
        return ""

    def _version(self) -> object:
        return self._service.revision(), time.time() // AGAIN_SECONDS, self._service.devices()

    def _show(self, view: QueueView) -> Updates:
        language, cursors = view.language, view.cursors
        try:
            unfinished = self._service.unfinished()
            page = self._service.page("finished", cursors[-1] if cursors else None, PAGE)
            counts, paused = self._service.counts(), self._service.queue.is_paused()
        except I2VError as error:  # the database is away, or the cursor was none
            view.cursors = ()
            return {self.message: panels.error(error.to_dict(), language)}
        titles = {name: spec.title for name, spec in self._service.engines.items()}
        return {
            self.message: "",
            self.running: queue_panels.running(
                unfinished, language, time.time(), paused, self._service.devices(), allows, titles
            ),
            self.waiting: queue_panels.waiting(unfinished, language, allows, titles),
            self.finished: queue_panels.finished(
                page,
                language,
                first=not cursors,
                now=time.time(),
                unsuccessful=counts["failed"] + counts["cancelled"],
                has_trash=self._context.settings.storage.trash_days > 0,
                allows=allows,
                titles=titles,
            ),
        }
