"""The markup of models: what is said of each state, which buttons there are, and nothing of it as markup."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from i2v.core.errors import Cancelled, ModelUnavailable, Notice
from i2v.core.model_spec import Conversion, Repository
from i2v.engines.i2vgen_xl.specs import EMBEDDED, I2VGEN_XL
from i2v.service.models import Model, Task, TaskKind
from i2v.web.page import models_panels
from i2v.weights.conversion import ConversionPlan
from i2v.weights.download import DownloadPlan, PartPlan
from i2v.weights.folders import ModelFolder, Origin
from i2v.weights.progress import TransferProgress
from tests.web.page.test_gallery_panels import Tags
from tests.web.page.test_panels import HOSTILE

PLACE = Path("/models/i2vgen-xl")
PUBLISHED = Repository("x/y", "0" * 40, (), 4_980_000_000, "MIT")
ORIGIN = f"https://huggingface.co/x/y/tree/{'0' * 40}"
MISSING = PLACE / "unet" / "config.json"


def folder(origin: Origin = "downloaded", whole: bool = True) -> ModelFolder:
    return ModelFolder(
        PLACE, {PLACE / "a": 4_978_000_000} if whole else {}, None if whole else MISSING, origin
    )


def plan(begun: int = 0, free: int = 60 * 10**9, *sources: str) -> DownloadPlan:
    sources = sources or ("https://huggingface.co", "modelscope")
    parts = (PartPlan(PUBLISHED, False, None, True),)
    return DownloadPlan(folder(whole=False), PLACE, 4_980_000_000, begun, free, parts, sources)


ABSENT = Model(I2VGEN_XL, folder(whole=False), plan(), None, None, None)
CHECKED = Notice("weights.checked", {"title": "I2VGen-XL", "source": "https://huggingface.co"})
THERE = Model(I2VGEN_XL, folder(), plan(4_978_000_000), CHECKED, folder(), None)
COMING = TransferProgress(
    "fetching", "https://hf-mirror.com", "unet/b", 10**8, 10**9, 10**9, 4 * 10**9, 2e6, 1500.0
)


def buttons(model: Model) -> dict[str | None, str | None]:
    """Return what each button asks first, by what it does."""
    markup = models_panels.models([model], "en")
    return {button["data-act"]: button.get("data-confirm") for button in Tags(markup).of("button")}


def busy(
    progress: TransferProgress | None = COMING, kind: TaskKind = "download", cancelling: bool = False
) -> Model:
    return replace(ABSENT, task=Task(kind, progress, cancelling))


def test_what_a_download_would_be_is_said_before_it_begins() -> None:
    markup = models_panels.models([ABSENT], "en")
    for fact in (
        "Not installed", "4.98 GB", "MIT", ORIGIN, "https://huggingface.co, modelscope",
        "/models/i2vgen-xl (60.0 GB free)",
    ):  # fmt: skip
        assert fact in markup, fact
    assert buttons(ABSENT) == {"download": "Download 4.98 GB now?"}
    assert "剩余 60.0 GB" in models_panels.models([ABSENT], "zh-CN")


def test_weights_in_float32_can_be_stored_smaller_which_is_said_before() -> None:
    wide = replace(ABSENT, spec=replace(I2VGEN_XL, conversions=(Conversion("x", 10**9),)))
    assert "4.98 GB; 3.98 GB once it is stored in bfloat16" in models_panels.models([wide], "en")
    there = replace(THERE, conversion=ConversionPlan((), 2 * 10**9, 3 * 10**9, 10**11))
    assert "Saves 3.00 GB and needs 2.00 GB more" in str(buttons(there)["convert"])
    assert "convert" not in buttons(THERE)


def test_a_disk_that_is_too_small_is_named() -> None:
    assert "only 3.0 GB free" in models_panels.models([replace(ABSENT, plan=plan(0, 3 * 10**9))], "en")
    assert "only" not in models_panels.models([replace(ABSENT, plan=plan(3 * 10**9, 3 * 10**9))], "en")


def test_a_download_that_was_stopped_can_be_gone_on_with_or_deleted() -> None:
    half = replace(ABSENT, plan=plan(10**9), removable=folder(whole=False))
    assert half.state == "incomplete"
    assert "4.98 GB, 1.00 GB downloaded" in models_panels.models([half], "en")
    assert buttons(half) == {"download": "Download 3.98 GB now?", "remove": "Permanently delete 1.00 GB?"}


def test_where_we_are_offline_nothing_can_be_fetched() -> None:
    offline = replace(ABSENT, plan=replace(plan(), sources=()))
    assert "models.offline" in models_panels.models([offline], "en")
    assert buttons(offline) == {}


def test_a_model_that_is_there_says_how_it_was_checked() -> None:
    markup = models_panels.models([THERE], "en")
    assert "Installed" in markup
    assert CHECKED.message in markup.replace("&#x27;", "'")
    assert "GB free" not in markup
    assert buttons(THERE) == {"verify": None, "remove": "Permanently delete 4.98 GB?"}
    assert "Verify compares" in models_panels.models([replace(THERE, checked=None)], "en")


def test_folders_of_others_are_forgotten_or_left_alone() -> None:
    added = replace(THERE, folder=folder("added"), removable=folder("added"))
    assert buttons(added)["remove"] == "Remove it from the list? The folder itself is kept."
    assert buttons(replace(THERE, folder=folder("found"), removable=None)) == {"verify": None}
    embedded = Model(EMBEDDED, folder("embedded"), None, None, None, None)
    assert buttons(embedded) == {}
    assert "comes with i2v" in models_panels.models([embedded], "en")


def test_what_is_under_way_says_how_far_how_fast_and_how_long() -> None:
    markup = models_panels.under_way([busy()], "en")
    for fact in (
        "Downloading I2VGen-XL", "1.00 GB of 4.00 GB", "2.00 MB/s", "about 25 min left",
        "unet/b: 100 MB of 1.00 GB", "from https://hf-mirror.com",
    ):  # fmt: skip
        assert fact in markup, fact
    (bar,) = [each for each in Tags(markup).of("div") if each.get("role") == "progressbar"]
    assert bar["aria-valuenow"] == "25"
    assert buttons(busy()) == {"cancel": None}
    assert "Downloading" in models_panels.models([busy()], "en")
    assert "progressbar" not in models_panels.under_way([ABSENT], "en")


@pytest.mark.parametrize("phase", ["waiting", "asking", "checking", "pausing"])
def test_every_phase_has_words(phase: str) -> None:
    progress = TransferProgress(phase, None, None, 0, 0, 0, 0, 0.0, None)  # type: ignore[arg-type]
    for language in ("en", "zh-CN"):
        assert "I2VGen-XL" in models_panels.under_way([busy(progress)], language)


def test_what_is_being_stopped_cannot_be_stopped_again() -> None:
    assert buttons(busy(cancelling=True)) == {}
    assert "cancelling" in models_panels.under_way([busy(cancelling=True)], "en")
    assert "starting" in models_panels.under_way([busy(None)], "en")


def test_what_came_of_it_is_reported_and_only_a_failure_is_an_error() -> None:
    ends = [
        (ModelUnavailable("weights.no_source", title="x", file="y", reasons="z"), True),
        (Notice("weights.bad_files", {"title": "x", "files": "y", "name": "z"}), True),
        (Cancelled("weights.cancelled"), False),
        (CHECKED, False),
    ]
    for ending, is_error in ends:
        markup = models_panels.under_way(
            [replace(ABSENT, task=Task("download", COMING, False, ending))], "en"
        )
        assert "x: " in markup or isinstance(ending, Cancelled) or ending.message in markup
        assert ("i2v-error" in markup) == is_error


def test_nothing_of_a_model_is_markup() -> None:
    place = Path(f"/{HOSTILE}")
    published = Repository(HOSTILE, HOSTILE, (), 1, HOSTILE, must_accept=True, licence_url=HOSTILE)
    parts = (PartPlan(published, False, place, False), PartPlan(published, False, None, False))
    hostile = Model(
        replace(I2VGEN_XL, title=HOSTILE),
        ModelFolder(place, {place / "a": 1}, place / HOSTILE, "found"),
        replace(plan(), target=place, parts=parts, sources=(HOSTILE,)),
        None,
        None,
        Task("download", replace(COMING, source=HOSTILE, file=HOSTILE)),
    )
    for model in (hostile, replace(hostile, task=None)):
        assert "<img" not in models_panels.models([model], "en") + models_panels.under_way([model], "en")


COMMUNITY = Repository(
    "a/b", "1" * 40, (), 10**9, "Community", "part", must_accept=True, licence_url="https://example.org/l"
)


def test_each_repository_and_its_licence_are_shown_and_the_button_asks_for_the_licence() -> None:
    parts = (PartPlan(PUBLISHED, False, Path("/comfy"), True), PartPlan(COMMUNITY, False, None, False))
    asking = replace(ABSENT, plan=replace(plan(), parts=parts))
    markup = models_panels.models([asking], "en")
    for fact in (
        'MIT, <a href="https://example.org/l"', "a/b/tree/1111", "1.00 GB · Community",
        "4.98 GB · MIT · already in /comfy",
    ):  # fmt: skip
        assert fact in markup, fact
    assert buttons(asking) == {"accept": "Accept the licence Community and download 4.98 GB now?"}
    accepted = replace(parts[1], is_accepted=True)
    assert buttons(replace(asking, plan=replace(plan(), parts=(parts[0], accepted)))).keys() == {"download"}


def test_links_are_not_counted_where_a_model_is_deleted() -> None:
    shared = replace(THERE, plan=replace(plan(4_978_000_000), linked=3_978_000_000))
    assert buttons(shared)["remove"] == "Permanently delete 1.00 GB?"


def test_a_model_that_is_published_nowhere_can_be_verified_and_forgotten() -> None:
    own = Model(replace(I2VGEN_XL, published=()), folder("added"), None, None, folder("added"), None)
    assert buttons(own) == {"verify": None, "remove": "Remove it from the list? The folder itself is kept."}
    assert buttons(replace(own, folder=folder(whole=False), removable=None)) == {}
