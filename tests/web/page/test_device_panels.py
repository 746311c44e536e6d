"""Devices as markup: where there are several, each with what it does, in both languages."""

from __future__ import annotations

from i2v.core.errors import I2VError, InsufficientMemory
from i2v.core.memory_plan import DeviceInfo
from i2v.web.page import device_panels
from i2v.workers.devices import DeviceState, Fetch
from tests.web.page.test_panels import HOSTILE

CARD = DeviceInfo("cuda", "NVIDIA H100", 80 * 2**30)
CPU = DeviceInfo("cpu", "CPU", 2**34)
BUSY = DeviceState("cuda:0", 1, CARD, "busy", job_id="a")
FREE = DeviceState("cuda:1", 1, CARD, "ready")
ASIDE = DeviceState("cuda:2", 1, None, "set_aside", problem=InsufficientMemory("device.no_cuda"))
STARTING = DeviceState("", 1, None, "starting")


def test_one_device_is_nothing_to_show() -> None:
    assert device_panels.idle([FREE], "en") == device_panels.idle([], "en") == ""
    assert device_panels.names([BUSY], "en") == {}


def test_those_without_a_job_say_why_and_a_job_says_where_it_runs() -> None:
    states = [BUSY, FREE, ASIDE, STARTING]
    markup = device_panels.idle(states, "en")
    assert "cuda:0" not in markup
    assert "<li>cuda:1 · free</li>" in markup
    assert "cuda:2 · set aside after failed starts" in markup
    assert ASIDE.problem is not None
    assert ASIDE.problem.message[:20] in markup
    assert "a device · starting" in markup
    assert device_panels.names(states, "en") == {"a": "cuda:0"}
    assert "cuda:1 · 空闲" in device_panels.idle(states, "zh-CN")
    assert device_panels.idle([BUSY, BUSY], "en") == ""


def test_workers_of_one_device_are_told_apart() -> None:
    pair = [DeviceState("cpu", number, CPU, "busy", job_id=str(number)) for number in (1, 2)]
    assert device_panels.names(pair, "en") == {"1": "CPU, worker 1", "2": "CPU, worker 2"}


def test_all_are_listed_with_memory_and_job() -> None:
    markup = device_panels.facts([BUSY, FREE], {"a": HOSTILE}, "en")
    assert "cuda:0 · NVIDIA H100, 80.0 GB of memory · " in markup
    assert "<img" not in markup
    assert "cuda:1 · NVIDIA H100, 80.0 GB of memory · free" in markup


def test_a_machine_of_a_cluster_says_which_weights_it_has_and_that_it_leaves() -> None:
    studio = DeviceState("studio/cuda:0", 1, CARD, "ready", models=("i2vgen-xl", "svd"))
    problem = I2VError("cluster.leaving", node="attic")
    leaving = DeviceState("attic/cpu", 1, CPU, "leaving", problem=problem, models=())
    markup = device_panels.facts([studio, leaving], {}, "en")
    assert "studio/cuda:0 · NVIDIA H100, 80.0 GB of memory · free · weights: i2vgen-xl, svd" in markup
    assert "<li>attic/cpu · leaving the cluster</li>" in markup
    assert "权重：i2vgen-xl, svd" in device_panels.facts([studio], {}, "zh-CN")


def test_a_machine_that_gets_weights_says_how_far_it_is() -> None:
    fetch = Fetch("i2vgen-xl", 1_000_000_000, 4_980_000_000)
    studio = DeviceState("studio/cuda:0", 1, CARD, "ready", models=(), fetch=fetch)
    assert "getting i2vgen-xl: 1.00 of 4.98 GB" in device_panels.facts([studio], {}, "en")
    begins = DeviceState("studio/cuda:0", 1, CARD, "ready", models=(), fetch=Fetch("svd"))
    assert "正在获取 svd" in device_panels.facts([begins], {}, "zh-CN")
