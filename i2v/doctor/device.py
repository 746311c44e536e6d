"""Which device torch will use here, and what slows it down: from facts, without loading torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from i2v.core.errors import InsufficientMemory, Notice
from i2v.core.fields import shown
from i2v.core.settings import EngineSettings, Settings
from i2v.doctor.findings import Finding
from i2v.doctor.graphics import Card, Graphics
from i2v.doctor.packages import TorchBuild

# The oldest driver for any CUDA of that major version, by the first number of its version:
# https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html
OLDEST_DRIVER = {11: 450, 12: 525, 13: 580}


def find_card(graphics: Graphics, torch: TorchBuild | None, environ: Mapping[str, str]) -> Card | Finding:
    """Return the card that torch can use, or else what keeps it from one, as far as it can be told from here.

    A card too old for the build of torch, and NVIDIA's packages for running on an older driver, are not seen.
    """
    if graphics.failure is not None:
        found = Notice("doctor.card_silent", {"reason": graphics.failure})
        return Finding("problem", found, Notice("doctor.card_silent_fix", {}))
    if torch is None:
        return Finding("problem", Notice("doctor.torch_missing", {}), Notice("doctor.setup_fix", {}))
    if not graphics.cards and torch.hip is not None:
        return Finding("info", Notice("doctor.torch_rocm", {"torch": torch.version}))
    if not graphics.cards:
        return Finding("warning", Notice("doctor.no_card", {}), Notice("doctor.no_card_fix", {}))
    cards = visible_cards(graphics.cards, environ)
    card = cards[0] if cards else None
    if card is None:
        found = Notice("doctor.card_hidden", {"value": shown(environ["CUDA_VISIBLE_DEVICES"])})
        return Finding("warning", found, Notice("doctor.card_hidden_fix", {}))
    if torch.cuda is None:
        found = Notice("doctor.torch_without_cuda", {"torch": torch.version, "card": card.name})
        return Finding("problem", found, Notice("doctor.torch_without_cuda_fix", {}))
    oldest = OLDEST_DRIVER.get(_first_number(torch.cuda), 0)
    if _first_number(card.driver) < oldest:
        found = Notice(
            "doctor.driver_old",
            {"driver": card.driver, "card": card.name, "cuda": torch.cuda, "oldest": oldest},
        )
        return Finding("problem", found, Notice("doctor.driver_old_fix", {}))
    return card


def visible_cards(cards: tuple[Card, ...], environ: Mapping[str, str]) -> tuple[Card, ...]:
    """Return the cards that CUDA_VISIBLE_DEVICES leaves, in its order; of ids, only how many is looked at."""
    listed = environ.get("CUDA_VISIBLE_DEVICES")
    if listed is None:
        return cards
    found: list[Card] = []
    for name in map(str.strip, listed.split(",")):
        if name.startswith(("GPU-", "MIG-")) and len(found) < len(cards):
            found.append(cards[len(found)])
        elif name.isdecimal() and int(name) < len(cards):
            found.append(cards[int(name)])
        else:  # CUDA stops at the first that is none
            break
    return tuple(found)


def _first_number(version: str) -> int:
    """Return 580 of "580.65.06"; a large number for what is no version, which is then not complained of."""
    first = version.partition(".")[0]
    return int(first) if first.isdecimal() else 10**6


def check_device(card: Card | Finding, options: EngineSettings) -> Iterator[Finding]:
    """Tell of the device that the settings lead to, where `card` is what `find_card` found."""
    if options.device == "cpu":
        yield Finding("info", Notice("doctor.cpu_chosen", {}))
        return
    if isinstance(card, Finding):
        yield card
        if options.device == "cuda":
            yield Finding("problem", InsufficientMemory("device.no_cuda"))
        return
    yield Finding("ok", Notice("doctor.card_ok", {"card": card.name, "driver": card.driver}))
    if options.dtype == "float32":
        yield Finding("warning", Notice("doctor.full_precision", {}), Notice("doctor.full_precision_fix", {}))


def check_devices(cards: tuple[Card, ...], settings: Settings) -> Iterator[Finding]:
    """List the devices of the server, where they are not the one that `check_device` tells of.

    cards: those that torch can use.
    """
    wanted, each = settings.worker.devices, settings.worker.per_device
    if wanted == "cpu" or settings.engine.device == "cpu" or not cards:
        if each > 1:
            yield Finding("info", Notice("doctor.cpu_workers", {"count": each}))
        return
    numbers = range(len(cards)) if isinstance(wanted, str) else wanted
    if tuple(numbers) == (0,) and each == 1:
        return
    for number in numbers:
        if number >= len(cards):
            found = Notice("doctor.no_such_card", {"number": number, "count": len(cards)})
            yield Finding("problem", found, Notice("doctor.no_such_card_fix", {}))
            continue
        card = cards[number]
        found = Notice(
            "doctor.device",
            {
                "device": f"cuda:{number}",
                "card": card.name,
                "workers": each,
                "free": _gib(card.free),
                "total": _gib(card.total),
            },
        )
        yield Finding("ok", found)


def _gib(size: int | None) -> str:
    return "?" if size is None else f"{size / 2**30:.1f}"


def check_threads(options: EngineSettings, environ: Mapping[str, str], cores: int) -> Finding:
    """Compare the CPU threads that torch will use with the `cores` that this process may use."""
    first = environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    threads = options.threads or (int(first) if first.isdecimal() else 0)
    if not threads:
        return Finding("ok", Notice("doctor.threads_free", {"cores": cores}))
    found = Notice("doctor.threads", {"threads": threads, "cores": cores})
    if cores / 2 <= threads <= cores:  # half: torch itself leaves out the second thread of a core
        return Finding("ok", found)
    return Finding("warning", found, Notice("doctor.threads_fix", {}))
