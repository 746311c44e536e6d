"""The page's handlers without a browser: what they ask the service, and what they say."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr
import pytest
from PIL import Image, ImageFilter

from i2v.core.settings_sources import ROOT
from i2v.engines.i2vgen_xl.specs import EMBEDDED
from i2v.engines.registry import engines
from i2v.jobs.store import JobStore
from i2v.service.service import Service
from i2v.web.context import AppContext
from i2v.web.page.blocks import Page
from i2v.web.page.tabs.showing import Showing
from i2v.web.page.tabs.widgets import Remembered
from tests.rehearsal import stage
from tests.web.house import HeldExecutor

T = TypeVar("T")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page on a machine without a GPU, with the real engines and none of them at work."""
    settings = stage(tmp_path_factory.mktemp("page"), engine__name="auto")
    store = JobStore(settings.database, settings.service.max_queued)
    service = Service(settings, store, HeldExecutor(settings, store), engines())
    service.start()

    async def build() -> Page:
        return Page(AppContext(service, settings, threading.Event()))

    yield asyncio.run(build())
    service.stop()


def values(page: Page, **changed: Any) -> dict[Any, Any]:
    """Return what the browser would send of an untouched form, but for `changed`."""
    widgets = [*page.generate.form.inputs(), page.language, page.remembered]
    untouched = {widget: getattr(widget, "value", None) for widget in widgets}
    untouched |= {page.language: "en", page.remembered: {"job": "", "language": None}}
    untouched[page.generate.view] = Showing()
    return untouched | {getattr(page.generate.form, name): value for name, value in changed.items()}


def run(handler: Awaitable[T]) -> T:
    async def wait() -> T:
        return await handler

    return asyncio.run(wait())


@pytest.mark.parametrize(
    "kept",
    [
        None,
        3,
        "x",
        [],
        {},
        {"job": 5, "language": "fr"},
        {"job": None, "batch": "of an earlier version", "takes": [5]},
    ],
)
def test_whatever_the_browser_kept_is_no_more_than_nothing(kept: object) -> None:
    assert Remembered.of(kept) == Remembered()


def test_what_the_page_kept_comes_back() -> None:
    kept = Remembered("ab12", "zh-CN", ("ab12",))
    assert Remembered.of(json.loads(json.dumps(asdict(kept))) | {"more": 1}) == kept


def test_the_fields_of_an_untouched_form_leave_the_rest_to_the_preset(page: Page) -> None:
    fields = page.generate.form.fields(values(page, prompt="left"), EMBEDDED)
    assert fields == {
        "prompt": "left", "preset": "standard", "fit": "keep",
        "num_frames": 16, "fps": 8, "num_inference_steps": 50, "guidance_scale": 9,
    }  # fmt: skip


def test_what_is_filled_in_becomes_a_field(page: Page) -> None:
    changed = {"seed": "7", "negative_prompt": "blurry", "resolution": "256p", "engine": "embedded"}
    fields = page.generate.form.fields(values(page, **changed), EMBEDDED)
    assert fields.items() >= changed.items()


def test_a_preset_sets_the_sliders_as_the_model_has_it(page: Page) -> None:
    form = page.generate.form
    updates = run(page.generate.filling.apply_preset(values(page, preset="quick")))
    steps = EMBEDDED.presets["quick"].num_inference_steps
    assert (updates[form.num_inference_steps]["value"], updates[form.num_frames]["value"]) == (steps, 8)
    large = run(page.generate.filling.apply_preset(values(page, preset="quick", engine="i2vgen-xl")))
    assert (large[form.num_inference_steps]["value"], large[form.guidance_scale]["value"]) == (30, 9.0)


def test_with_the_demo_model_the_page_says_what_it_is_and_what_would_run_with_a_card(page: Page) -> None:
    about = run(page.generate.outlook.look(values(page)))[page.generate.outlook.about]
    assert "demo model" in about
    assert "I2VGen-XL can also move what is in the picture" in about


def test_a_model_that_is_not_installed_is_reported_at_once_with_the_way_to_get_it(page: Page) -> None:
    given = values(page, engine="i2vgen-xl")
    about = run(page.generate.outlook.look(given))[page.generate.outlook.missing]
    for words in ("I2VGen-XL is not installed here", "4.98 GB", "MIT", "Download"):
        assert words in about
    assert given[page.generate.view].wanted == "i2vgen-xl"
    run(page.generate.outlook.look(given | {page.generate.form.engine: "auto"}))
    assert given[page.generate.view].wanted == ""


def test_only_presets_that_differ_can_be_chosen_and_one_that_a_program_chose(page: Page) -> None:
    form = page.generate.form
    offered = form.choices(EMBEDDED, "en")[form.preset]
    assert [name for _, name in offered["choices"]] == ["quick", "standard"]
    asked = form.choices(EMBEDDED, "zh-CN", preset="extreme")[form.preset]
    assert (asked["value"], asked["choices"][-1]) == ("extreme", ("极致", "extreme"))
    updates = run(page.generate.filling.apply_preset(values(page, preset="extreme")))  # of another engine
    assert updates[form.preset]["value"] == "standard"
    steps = EMBEDDED.presets["standard"].num_inference_steps
    assert updates[form.num_inference_steps]["value"] == steps


def test_the_page_tells_what_it_would_take_and_what_might_disappoint(page: Page) -> None:
    updates = run(page.generate.outlook.look(values(page, prompt="a man walks", guidance_scale=18, fps=5)))
    assert "No estimate yet" in updates[page.generate.outlook.plan]
    assert "18" in updates[page.generate.outlook.advice]
    assert "5 frames per second" in updates[page.generate.outlook.advice]
    assert "the camera pans left" in updates[page.generate.outlook.advice]


def test_a_new_picture_is_looked_at_once_and_then_told_of(page: Page, tmp_path: Path) -> None:
    blurred = tmp_path / "blurred.png"
    Image.open(ROOT / "examples" / "coffee.jpg").filter(ImageFilter.GaussianBlur(12)).save(blurred)
    given = values(page, picture=str(blurred), prompt="the camera pans left")
    assert "blurry" not in run(page.generate.outlook.look(given))[page.generate.outlook.advice]
    run(page.generate.outlook.examine(given))
    assert "blurry" in run(page.generate.outlook.look(given))[page.generate.outlook.advice]
    other = {**given, page.generate.form.picture: str(ROOT / "examples" / "cat.jpg")}
    assert "blurry" not in run(page.generate.outlook.look(other))[page.generate.outlook.advice]


def test_numbers_that_no_slider_has_are_reported_and_not_run(page: Page) -> None:
    updates = run(page.generate.outlook.look(values(page, num_frames=float("nan"))))
    assert "Frames: nan is not valid" in updates[page.generate.outlook.plan]


@pytest.mark.parametrize(
    ("size", "said"), [((320, 224), "moves over the picture"), ((400, 300), "cuts 3.6 % off")]
)
def test_the_line_below_the_button_says_what_is_cut_off(
    page: Page, tmp_path: Path, size: tuple[int, int], said: str
) -> None:
    path = tmp_path / "x.png"
    Image.new("RGB", size).save(path)
    plan = run(page.generate.outlook.look(values(page, picture=str(path), prompt="x", preset="quick")))[
        page.generate.outlook.plan
    ]
    assert said in plan


@pytest.mark.parametrize("size", [(8, 8), (600, 50), (64, 64)])
def test_the_line_below_the_button_and_the_button_agree(
    page: Page, tmp_path: Path, size: tuple[int, int]
) -> None:
    path = tmp_path / "x.png"
    Image.new("RGB", size).save(path)
    given = values(page, picture=str(path), prompt="x")
    run(page.generate.outlook.look(given))
    noticed = given[page.generate.view].noticed
    view = given[page.generate.view] = Showing()
    run(page.generate.generate(given))
    assert view.error == noticed
    assert (noticed is None) is (size == (64, 64))


def test_an_error_is_said_at_its_field_until_that_is_mended(page: Page, tmp_path: Path) -> None:
    form, outlook = page.generate.form, page.generate.outlook
    given = values(page, prompt="zoom in")
    view = given[page.generate.view]

    def said() -> dict[str, str]:
        shown = page.generate._show(view)
        return {place: shown[widget] for place, widget in outlook.errors().items() if shown[widget]}

    assert said() == {}
    run(page.generate.generate(given))
    assert list(said()) == ["picture"]
    assert "Add a picture first." in said()["picture"]
    run(outlook.look(given | {form.prompt: "zoom out"}))
    assert list(said()) == ["picture"]  # that is about something else
    path = tmp_path / "x.png"
    Image.new("RGB", (64, 64)).save(path)
    given |= {form.picture: str(path), form.prompt: " "}
    run(outlook.look(given))
    assert said() == {}
    view.sent_at = 0.0
    run(page.generate.generate(given))
    assert list(said()) == ["prompt"]
    run(outlook.look(given | {form.prompt: "zoom out"}))
    assert said() == {}
    view.sent_at = 0.0
    run(page.generate.generate(given | {form.prompt: "x", form.seed: "x"}))
    assert list(said()) == ["form"]
    run(outlook.look(given | {form.prompt: "x", form.seed: "1"}))
    assert said() == {}


def test_who_is_faster_than_the_form_gets_the_presets_numbers(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.new("RGB", (64, 64)).save(path)
    given = values(page, picture=str(path), prompt="zoom in")
    for shaped, num_frames in ((None, 8), ("embedded", 16)):
        view = given[page.generate.view] = Showing(shaped=shaped)
        run(page.generate.generate(given))
        job = page.generate.filling.get(view.job)
        assert job is not None
        assert job.generation is not None
        assert job.generation.num_frames == num_frames


def test_a_queue_that_gets_full_says_so_and_the_takes_that_found_room_are_made(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.png"
    Image.new("RGB", (64, 64)).save(path)
    given = values(page, picture=str(path), prompt="zoom in")
    service = page.generate._service
    waiting = service.counts()["queued"]
    monkeypatch.setattr(service._store, "_max_queued", waiting + 2)
    kept = run(page.generate.generate_four(given))
    view = given[page.generate.view]
    assert len(view.takes) == 2
    assert (view.job, kept["job"]) == (view.takes[0], view.takes[0])
    assert view.error["code"] == "job.queue_full"


def test_damage_that_no_header_tells_is_reported_once_the_picture_was_looked_at(
    page: Page, tmp_path: Path
) -> None:
    path = tmp_path / "half.jpg"
    whole = (ROOT / "examples" / "cat.jpg").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    given = values(page, picture=str(path))
    run(page.generate.outlook.examine(given))
    run(page.generate.outlook.look(given))
    assert "damaged" in str(given[page.generate.view].noticed)


def test_a_file_that_is_gone_is_reported(page: Page, tmp_path: Path) -> None:
    given = values(page, picture=str(tmp_path / "gone.png"))
    run(page.generate.outlook.look(given))
    assert "Cannot read" in str(given[page.generate.view].noticed)


def test_cancelling_what_is_not_there_says_so(page: Page) -> None:
    message = run(page.generate.cancel({page.generate.view: Showing(job="gone")}))
    assert "This job no longer exists." in message


def test_a_model_that_auto_means_by_now_brings_its_controls_and_numbers_once(page: Page) -> None:
    """As when one was fetched meanwhile: the window still shows another engine's controls."""
    form, outlook = page.generate.form, page.generate.outlook
    given = values(page)
    view = given[page.generate.view] = Showing(shaped="camera-move")
    assert run(outlook.look(given))[outlook.reshapes] == 1
    updates = run(page.generate.filling.reshape(given))
    assert view.shaped == "embedded"
    assert (updates[form.num_frames]["value"], updates[form.seed]["visible"]) == (8, True)
    assert run(page.generate.filling.reshape(given)) == gr.skip()  # a job may have been opened in between
    assert outlook.reshapes not in run(outlook.look(given))


def test_before_the_form_is_filled_for_the_first_time_nothing_replaces_its_numbers(page: Page) -> None:
    outlook = page.generate.outlook
    assert outlook.reshapes not in run(outlook.look(values(page)))


def test_choosing_an_engine_shows_what_it_takes_and_drops_a_way_that_it_lacks(page: Page) -> None:
    form = page.generate.form
    updates = run(page.generate.filling.apply_preset(values(page, engine="camera-move", fit="pad")))
    assert (updates[form.fit]["value"], updates[form.seed]["visible"]) == ("keep", False)
    assert (updates[form.num_frames]["value"], updates[form.num_frames]["maximum"]) == (150, 3600)
    (group,) = (each for each in form.options.groups() if updates[each]["visible"])
    assert group.elem_id == "i2v-options-camera-move"
