"""The tab about this machine: models, where jobs run, folders, versions, findings, webhooks, the log.

Owns which event of its widgets calls what. Whoever sees the page sees all of it, so the access token is taken
out of the log, should it ever stand there. Where there are users, the log is for those who administer.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
from anyio.to_thread import run_sync
from gradio.events import Dependency

from i2v.core.errors import I2VError
from i2v.core.schema import Language
from i2v.core.settings_sources import ROOT
from i2v.core.users import current_user
from i2v.doctor.examination import Report, examine_service
from i2v.host.log_files import read_end
from i2v.web.page import panels, system_panels, webhook_panels
from i2v.web.page.tabs.live import View, follow, live
from i2v.web.page.tabs.models import ModelsSection
from i2v.web.page.tabs.widgets import QUIET, Action, Shared, Updates, Values, Wired, acting_html
from i2v.web.texts import text

POLL_SECONDS = 2.0


@dataclass
class SystemView(View):
    """`report`: what the last examination found, by case."""

    report: Report = field(default_factory=dict)


class SystemTab:
    """Its widgets, made where this is called within a `gr.Tab`."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._context = shared.context
        self._service = shared.context.service
        self.models = ModelsSection(shared)
        self.about = gr.HTML(elem_id="i2v-system")
        self.check = shared.labels.of(gr.Button(elem_id="i2v-system-check"), value="system.check")
        self.report = gr.HTML(elem_id="i2v-system-report")
        self.webhooks = acting_html("i2v-system-webhooks")
        self.message = gr.HTML(elem_id="i2v-system-message")
        self.log = gr.HTML(elem_id="i2v-system-log")
        self.view = gr.State(SystemView())

    def wire(self, title: gr.Tab, switched: Dependency) -> Wired:
        """See `page.Tab`."""
        here = self._shared.here() | {self.view}
        outputs = [self.about, self.report, self.webhooks, self.log]
        switched.then(self.switch, here, outputs, **QUIET)
        self.check.click(self.examine, here, self.report, **QUIET)
        self.webhooks.click(self.redeliver, here, [self.message, *outputs], **QUIET)
        models = self.models.wire(title, switched)
        return Wired(live=(live(title, self.follow, here, outputs), models))

    async def follow(self, values: Values) -> AsyncIterator[Updates]:
        """Show how things are, and again what has changed."""
        view: SystemView = values[self.view]
        view.language = self._shared.language_of(values)
        async for updates in follow(view, lambda: self._show(view), self._context.closing, POLL_SECONDS):
            yield updates

    async def switch(self, values: Values) -> Any:
        """Show the same in another language, if it is looked at."""
        view: SystemView = values[self.view]
        view.language = self._shared.language_of(values)
        return await run_sync(self._show, view) if view.follower else gr.skip()

    async def examine(self, values: Values) -> AsyncIterator[str]:
        """Let doctor look at this machine."""
        view: SystemView = values[self.view]
        yield panels.plain(text("system.checking", view.language))
        try:
            view.report = await self._context.heavy(self._examine)
        except I2VError as error:
            yield panels.error(error.to_dict(), view.language)
        else:
            yield system_panels.report(view.report, view.language)

    async def redeliver(self, values: Values, event: gr.EventData) -> Updates:
        """Send all messages again that were given up."""
        view: SystemView = values[self.view]
        if Action.of(event).act != "redeliver":
            return {self.message: gr.skip()}
        try:
            count = await run_sync(self._service.webhooks.redeliver_failed)
        except I2VError as error:  # the database is away
            return {self.message: panels.error(error.to_dict(), view.language)}
        line = text("webhooks.redelivered", view.language, count=count)
        return await run_sync(self._show, view) | {self.message: panels.plain(line)}

    def _examine(self) -> Report:
        context = self._context
        logs = ROOT / "logs" if context.log is None else context.log.parent
        return examine_service(context.settings, self._service.engines, os.environ, logs)

    def _show(self, view: SystemView) -> Updates:
        language = view.language
        deletes = panels.retention(self._context.settings.storage, language)
        paused = self._service.queue.is_paused()
        return {
            self.about: system_panels.overview(
                self._service.overview(),
                language,
                deletes,
                paused,
                self._service.devices(),
                self._titles(language),
            ),
            self.report: system_panels.report(view.report, language) if view.report else "",
            self.webhooks: self._webhooks(language),
            self.log: self._log(language),
        }

    def _titles(self, language: Language) -> dict[str, str]:
        """Return what each job that runs is called, by its id."""
        try:
            return {job.id: panels.title(job, language) for job in self._service.page("running").jobs}
        except I2VError:  # the database is away, as other tabs tell
            return {}

    def _webhooks(self, language: Language) -> str:
        webhooks = self._service.webhooks
        counts = webhooks.counts()
        failed = webhooks.page("failed", None, webhook_panels.SHOWN).deliveries if counts["failed"] else ()
        return webhook_panels.deliveries(counts, failed, language, time.time())

    def _log(self, language: Language) -> str:
        log, user = self._context.log, current_user()
        if user is not None and not user.may("administer"):
            return panels.plain(text("system.log.hidden", language))
        if log is None:
            return system_panels.log_end(None, "", language)
        try:
            lines = read_end(log)
        except OSError as error:  # somebody tidied up
            lines = error.strerror or str(error)
        security = self._context.settings.security
        for secret in (security.token, *(each.token for each in security.users)):
            if token := secret.get_secret_value():
                lines = lines.replace(token, "***")
        return system_panels.log_end(lines, str(log), language)
