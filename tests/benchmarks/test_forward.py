"""The benchmark of the forward runs, on both sides, and says what it measured."""

from __future__ import annotations

import re

import pytest

from benchmarks.forward import main, paired


@pytest.mark.slow
def test_it_prints_both_sides_for_unet_and_vae(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = "forward --side 32 --num-frames 2 --guided --repeats 1"
    monkeypatch.setattr("sys.argv", arguments.split())
    main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "32 pixels, 2 frames, 2 row(s), CPU seconds"
    for part, line in (("UNet", lines[1]), ("VAE", lines[3])):
        assert re.match(rf"{part} +ours [\d.]+ .*, diffusers [\d.]+ .*, diffusers/ours [\d.]+,", line), line


def test_sides_run_in_turn_the_first_one_alternating() -> None:
    ran: list[str] = []
    paired(lambda: ran.append("ours") or sum(range(1000)), lambda: ran.append("stock") or sum(range(1000)), 2)
    assert ran == ["ours", "stock", "ours", "stock", "stock", "ours"]
