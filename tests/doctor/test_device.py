"""From what a machine has to the device that torch will use. Cards and builds of torch are made up here."""

from __future__ import annotations

import pytest

from i2v.core.settings import EngineSettings
from i2v.core.settings_sources import ROOT, load_settings
from i2v.doctor.device import check_device, check_devices, check_threads, find_card, visible_cards
from i2v.doctor.findings import Finding
from i2v.doctor.graphics import Card, Graphics
from i2v.doctor.packages import TorchBuild

CPU, CUDA_12, CUDA_13 = (TorchBuild("2.13.0", cuda, None) for cuda in (None, "12.6", "13.0"))
ROCM = TorchBuild("2.13.0+rocm7.0", None, "7.0")


def card(driver: str = "580.65.06", name: str = "RTX 4090") -> Card:
    return Card(name, driver, 24 * 2**30, 23 * 2**30)


def graphics(*drivers: str) -> Graphics:
    return Graphics(cards=tuple(card(driver, f"card {number}") for number, driver in enumerate(drivers)))


def options(device: str = "auto", dtype: str = "auto", threads: int = 0) -> EngineSettings:
    chosen = {"engine.device": device, "engine.dtype": dtype, "engine.threads": threads}
    return load_settings(ROOT / "configs" / "default.yaml", flags=chosen).engine


@pytest.mark.parametrize(
    ("found", "torch", "environ", "status", "code"),
    [
        (Graphics(failure="it hangs"), CUDA_13, {}, "problem", "doctor.card_silent"),
        (Graphics(), CUDA_13, {}, "warning", "doctor.no_card"),
        (Graphics(), ROCM, {}, "info", "doctor.torch_rocm"),
        (graphics("580.65"), None, {}, "problem", "doctor.torch_missing"),
        (graphics("580.65"), CPU, {}, "problem", "doctor.torch_without_cuda"),
        (graphics("580.65"), ROCM, {}, "problem", "doctor.torch_without_cuda"),
        (graphics("579.99"), CUDA_13, {}, "problem", "doctor.driver_old"),
        (graphics("524.1"), CUDA_12, {}, "problem", "doctor.driver_old"),
        (graphics("580.65"), CUDA_13, {"CUDA_VISIBLE_DEVICES": ""}, "warning", "doctor.card_hidden"),
        (graphics("580.65"), CUDA_13, {"CUDA_VISIBLE_DEVICES": "-1"}, "warning", "doctor.card_hidden"),
        (graphics("580.65"), CUDA_13, {"CUDA_VISIBLE_DEVICES": "1"}, "warning", "doctor.card_hidden"),
    ],
)
def test_what_keeps_torch_from_a_card_is_named(
    found: Graphics, torch: TorchBuild | None, environ: dict[str, str], status: str, code: str
) -> None:
    obstacle = find_card(found, torch, environ)
    assert isinstance(obstacle, Finding)
    assert (obstacle.status, obstacle.found.code) == (status, code)
    assert (obstacle.fix is None) == (status == "info")


@pytest.mark.parametrize(
    ("found", "torch", "environ", "name"),
    [
        (graphics("580.65.06"), CUDA_13, {}, "card 0"),
        (graphics("525.60.13"), CUDA_12, {}, "card 0"),  # an older driver of the same major version
        (graphics("610.43"), CUDA_12, {}, "card 0"),
        (graphics("[N/A]"), CUDA_13, {}, "card 0"),
        (graphics("1.0"), TorchBuild("3", "14.0", None), {}, "card 0"),  # a CUDA of which nothing is known
        (graphics("580", "580"), CUDA_13, {"CUDA_VISIBLE_DEVICES": "1,0"}, "card 1"),
        (graphics("580", "580"), CUDA_13, {"CUDA_VISIBLE_DEVICES": "GPU-8932f937"}, "card 0"),
    ],
)
def test_a_card_that_torch_can_use_is_found(
    found: Graphics, torch: TorchBuild, environ: dict[str, str], name: str
) -> None:
    usable = find_card(found, torch, environ)
    assert isinstance(usable, Card)
    assert usable.name == name


def codes(*findings: Finding) -> list[tuple[str, str]]:
    return [(finding.status, finding.found.code) for finding in findings]


def test_a_usable_card_is_good_news_unless_precision_is_full() -> None:
    assert codes(*check_device(card(), options())) == [("ok", "doctor.card_ok")]
    assert codes(*check_device(card(), options(dtype="float16"))) == [("ok", "doctor.card_ok")]
    assert codes(*check_device(card(), options(dtype="float32"))) == [
        ("ok", "doctor.card_ok"),
        ("warning", "doctor.full_precision"),
    ]


def test_no_card_is_a_problem_only_where_cuda_is_asked_for() -> None:
    obstacle = find_card(Graphics(), CPU, {})
    assert codes(*check_device(obstacle, options())) == [("warning", "doctor.no_card")]
    assert codes(*check_device(obstacle, options(device="cuda"))) == [
        ("warning", "doctor.no_card"),
        ("problem", "device.no_cuda"),
    ]


@pytest.mark.parametrize("found", [card(), find_card(Graphics(failure="it hangs"), CUDA_13, {})])
def test_cards_do_not_matter_where_the_settings_choose_the_cpu(found: Card | Finding) -> None:
    assert codes(*check_device(found, options(device="cpu"))) == [("info", "doctor.cpu_chosen")]


@pytest.mark.parametrize(
    ("setting", "variable", "cores", "status"),
    [
        (0, None, 8, "ok"),
        (8, None, 8, "ok"),
        (4, None, 8, "ok"),
        (3, None, 8, "warning"),
        (9, None, 8, "warning"),
        (0, "1", 8, "warning"),
        (0, "16,4", 8, "warning"),
        (0, "8", 8, "ok"),
        (0, "many", 8, "ok"),  # OpenMP passes over it too
        (8, "1", 8, "ok"),  # the setting wins
        (1, None, 1, "ok"),
        (1, None, 2, "ok"),
    ],
)
def test_too_few_and_too_many_threads_are_warned_of(
    setting: int, variable: str | None, cores: int, status: str
) -> None:
    environ = {} if variable is None else {"OMP_NUM_THREADS": variable}
    finding = check_threads(options(threads=setting), environ, cores)
    assert finding.status == status
    assert (finding.fix is not None) == (status == "warning")


# --- several cards


@pytest.mark.parametrize(
    ("listed", "names"),
    [
        (None, ["card 0", "card 1", "card 2"]),
        ("2,0", ["card 2", "card 0"]),
        ("1,-1,0", ["card 1"]),
        ("GPU-8932,GPU-77aa", ["card 0", "card 1"]),
        ("", []),
    ],
)
def test_the_cards_that_are_visible_are_counted(listed: str | None, names: list[str]) -> None:
    environ = {} if listed is None else {"CUDA_VISIBLE_DEVICES": listed}
    cards = graphics("580", "580", "580").cards
    assert [each.name for each in visible_cards(cards, environ)] == names


@pytest.mark.parametrize(
    ("flags", "count", "codes"),
    [
        ({}, 1, []),
        ({}, 2, ["doctor.device", "doctor.device"]),
        ({"worker.per_device": 2}, 1, ["doctor.device"]),
        ({"worker.devices": [0, 3]}, 2, ["doctor.device", "doctor.no_such_card"]),
        ({"worker.devices": "cpu"}, 2, []),
        ({"worker.devices": "cpu", "worker.per_device": 3}, 2, ["doctor.cpu_workers"]),
        ({"worker.per_device": 3}, 0, ["doctor.cpu_workers"]),
    ],
)
def test_the_devices_of_the_server_are_listed(flags: dict[str, object], count: int, codes: list[str]) -> None:
    settings = load_settings(ROOT / "configs" / "default.yaml", flags=flags)
    found = list(check_devices(graphics(*["580"] * count).cards, settings))
    assert [finding.found.code for finding in found] == codes
    if codes == ["doctor.device", "doctor.device"]:
        assert found[1].found.message == (
            "The server runs 1 job(s) at a time on cuda:1: card 1, 23.0 of 24.0 GB free."
        )
