"""What the benchmark counts and where it cuts: against sums done by hand."""

from __future__ import annotations

from types import SimpleNamespace

import psutil
import pytest
import torch

from benchmarks.measure import flop_counter, peak_rss, turns
from benchmarks.sides import before, between


def test_attention_on_the_cpu_is_counted() -> None:
    query, key = torch.rand(2, 3, 5, 8), torch.rand(2, 3, 7, 8)
    counter = flop_counter()
    with torch.inference_mode(), counter:
        torch.nn.functional.scaled_dot_product_attention(query, key, key)
    # two products of (5, 8) x (8, 7) shape for each of 2 x 3 heads, a multiplication and an addition each
    assert counter.get_total_flops() == 2 * (2 * 3) * (2 * 5 * 8 * 7)


def test_peak_memory_is_in_mib() -> None:
    memory = psutil.Process().memory_info()
    assert 0.99 * memory.rss <= peak_rss() * 2**20 <= psutil.virtual_memory().total


def test_the_side_that_goes_first_alternates() -> None:
    assert [*turns("a", "b", 3)] == ["a", "b", "b", "a", "a", "b"]


def test_stages_lie_between_the_marks_and_a_missing_mark_is_an_error() -> None:
    marks = [{"wall": at} for at in (1.0, 2.0, 5.0, 9.0)]
    spent = {stage: reading["wall"] for stage, reading in between(marks).items()}
    assert spent == {"condition": 1.0, "denoise": 3.0, "decode": 4.0, "clip": 8.0}
    with pytest.raises(ValueError, match="zip"):
        between(marks[:3])


def test_a_wrapped_method_is_told_of_first_and_put_back() -> None:
    calls: list[str] = []
    owner = SimpleNamespace(work=lambda value: calls.append("work") or value)
    work = owner.work
    with before(owner, "work", lambda: calls.append("before")):
        assert owner.work(3) == 3
    assert calls == ["before", "work"]
    assert owner.work is work
