"""What `deploy/` has for Prometheus and Grafana: it can be read, and names only what is measured."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from i2v.cli.main import build_parser
from i2v.core.settings import ROOT, load_settings

DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus" / "i2v.rules.yaml"
MEASURED = set(re.findall(r'"(i2v_\w+)"', (ROOT / "i2v" / "service" / "metrics.py").read_text("utf-8")))
SUFFIX = re.compile(r"_(total|bucket|sum|count)$")


def queries(board: object) -> Iterator[str]:
    """Yield all expressions of a board, and the queries of its variables."""
    if isinstance(board, dict):
        yield from (board[name] for name in ("expr", "query") if isinstance(board.get(name), str))
        board = list(board.values())
    if isinstance(board, list):
        for each in board:
            yield from queries(each)


def named(expression: str) -> set[str]:
    return {SUFFIX.sub("", name) for name in re.findall(r"\bi2v_\w+", expression)}


def board() -> object:
    return json.loads((DEPLOY / "grafana" / "i2v.json").read_text("utf-8"))


def rules() -> list[dict[str, object]]:
    (group,) = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return list(group["rules"])


def test_boards_and_alerts_name_only_what_is_measured() -> None:
    expressions = [*queries(board()), *(str(rule["expr"]) for rule in rules())]
    assert len(expressions) > 15
    assert {name for each in expressions for name in named(each)} - MEASURED == set()


def test_all_that_is_measured_is_on_the_board() -> None:
    assert MEASURED - {name for each in queries(board()) for name in named(each)} == set()


def test_an_alert_says_how_bad_it_is_and_what_it_means() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("warning", "critical"), rule  # type: ignore[index]
        assert set(rule["annotations"]) == {"summary", "description"}, rule  # type: ignore[call-overload]


# The fields of KubeRay's ray.io/v1 that are used, by its API reference; there is no schema here.
CLUSTER = {"rayVersion", "enableInTreeAutoscaling", "autoscalerOptions", "headGroupSpec", "workerGroupSpecs"}
GROUP = {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"}


def test_machines_of_a_cluster_are_started_with_settings_and_flags_that_there_are() -> None:
    composed = yaml.safe_load((DEPLOY / "compose.ray.yaml").read_text("utf-8"))
    cluster = yaml.safe_load((DEPLOY / "ray-cluster.yaml").read_text("utf-8"))
    spec = cluster["spec"]
    assert (cluster["apiVersion"], cluster["kind"]) == ("ray.io/v1", "RayCluster")
    assert set(spec) == CLUSTER
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    assert all(set(group) <= GROUP for group in groups)
    pinned = re.search("^ray==(.*)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    assert spec["rayVersion"] == pinned[1]
    containers = [each for group in groups for each in group["template"]["spec"]["containers"]]
    given = [{each["name"]: each.get("value", "") for each in container["env"]} for container in containers]
    given[0]["I2V_RAY__ADDRESS"] = given[0]["I2V_RAY__ADDRESS"].replace("$(POD_IP)", "10.0.0.7")
    given += [service.get("environment", {}) for service in composed["services"].values()]
    executors = [load_settings(environ=environ).worker.executor for environ in given]
    assert executors == ["ray", "process", "ray", "process", "process"], "workers are told what to do"
    for service in composed["services"].values():
        assert service["command"][0] == "i2v"
        build_parser().parse_args(service["command"][1:])


@pytest.mark.slow
@pytest.mark.parametrize(
    "check", ["check rules i2v.rules.yaml", "test rules i2v.test.yaml", "check config prometheus.yaml"]
)
def test_promtool_takes_them_and_alerts_fire_when_they_should(check: str) -> None:
    """Debian's `prometheus` has promtool; `$PROMTOOL` names another one."""
    program = os.environ.get("PROMTOOL") or shutil.which("promtool")
    if program is None:
        pytest.skip("there is no promtool")
    folder = Path(RULES).parent
    done = subprocess.run([program, *check.split()], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
