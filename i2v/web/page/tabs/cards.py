"""The engine, chosen by cards: a radio group that shows the chosen one until "Change" is pressed.

Owns these widgets, and when what stands on them is asked for anew. What stands there is `engine_cards`'.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import gradio as gr

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import I2VError, Notice
from i2v.core.schema import Language
from i2v.web.context import AppContext
from i2v.web.page import engine_cards
from i2v.web.page.tabs.live import DISK_SECONDS
from i2v.web.page.tabs.showing import Showing
from i2v.web.page.tabs.widgets import Labels, Radio, Updates
from i2v.web.texts import text


class EngineCards:
    """The widgets, made where this is called within a `gr.Blocks`. `page.js` opens and closes them."""

    def __init__(self, labels: Labels, engines: Mapping[str, EngineSpec]) -> None:
        self._engines = engines
        names = engine_cards.names(engines)
        with gr.Row(elem_id="i2v-engines"):
            # What stands on the cards follows the language by `look`, or each would undo the other.
            self.engine = labels.of(Radio(names, value="auto", elem_id="i2v-engine"), label="engine.label")
            self.change = labels.follow(gr.HTML(elem_id="i2v-engine-change"), _button)

    async def look(
        self, context: AppContext, view: Showing, preset: str, size: tuple[int, int] | None
    ) -> Updates:
        """Return the cards as they are now: with times for that preset and a picture of that size.

        Nothing where the window has them already: cards that are drawn anew would lose the focus.
        """
        key = (preset, size, view.language, context.service.revision(), time.monotonic() // DISK_SECONDS)
        if key == view.cards_key:  # the form changes with every letter of a prompt
            return {}
        view.cards_key = key
        models = {model.spec.name: model for model in await context.heavy(context.service.models.all)}
        times = dict[str, Notice]()
        for name, spec in self._engines.items():
            prompt = {} if spec.capabilities.prompt == "none" else {"prompt": "any"}
            with suppress(I2VError):  # it cannot run here, which is said when it is chosen
                offered = (await context.engine(name)).offered
                chosen = preset if preset in offered else "standard"
                plan = await context.plan({"engine": name, "preset": chosen, **prompt}, size or (512, 512))
                times[name] = plan.notice
        auto = None
        with suppress(I2VError):  # `look` tells it
            auto = (await context.engine("auto")).name
        found = engine_cards.cards(self._engines, models, times, auto, view.language)
        if found == view.cards:
            return {}
        view.cards = found
        return {self.engine: gr.update(choices=found)}


def _button(language: Language) -> dict[str, Any]:
    change, close = text("engine.change", language), text("engine.close", language)
    markup = (
        f'<button type="button" class="i2v-act" aria-controls="i2v-engine" aria-expanded="false"'
        f' data-close="{close}">{change}</button>'
    )
    return {"value": markup}
