"""What `deploy/` has for Prometheus and Grafana: it can be read, and names only what is measured."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
import yaml

from i2v.cli.main import build_parser
from i2v.core.settings_sources import ROOT, load_settings

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


def record(required: str, **fields: object) -> dict[str, object]:
    """Return the JSON Schema of a table with these fields and no others."""
    return {
        "type": "object",
        "properties": fields,
        "required": required.split(),
        "additionalProperties": False,
    }


def many(of: object) -> dict[str, object]:
    return {"type": "array", "items": of, "minItems": 1}


def table(of: object) -> dict[str, object]:
    return {"type": "object", "additionalProperties": of}


# The fields of KubeRay's ray.io/v1 and of Kubernetes' pods that are used here, with their types, as the
# operator's Go types have them (ray-project/kuberay, ray-operator/apis/ray/v1); written down for this test.
# What Kubernetes itself checks besides is not known here.
TEXT, WHOLE, YES_NO = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "boolean"}
QUANTITY = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(m|[KMGT]i?)?$"}
AMOUNTS = table(QUANTITY)
ENV = record(
    "name", name=TEXT, value=TEXT, valueFrom=record("fieldRef", fieldRef=record("fieldPath", fieldPath=TEXT))
)
CONTAINER = record(
    "name image",
    name=TEXT,
    image=TEXT,
    command=many(TEXT),
    args=many(TEXT),
    env=many(ENV),
    ports=many(record("containerPort", name=TEXT, containerPort={"type": "integer", "maximum": 65535})),
    resources=record("", requests=AMOUNTS, limits=AMOUNTS),
    volumeMounts=many(record("name mountPath", name=TEXT, mountPath=TEXT, readOnly=YES_NO)),
)
CLAIM = record("claimName", claimName=TEXT, readOnly=YES_NO)
POD = record(
    "containers",
    containers=many(CONTAINER),
    volumes=many(record("name", name=TEXT, persistentVolumeClaim=CLAIM)),
)
TEMPLATE = record("spec", metadata=record("", annotations=table(TEXT), labels=table(TEXT)), spec=POD)
HEAD = record("template", rayStartParams=table(TEXT), template=TEMPLATE)
WORKERS = record(
    "groupName minReplicas maxReplicas template",
    groupName=TEXT,
    replicas=WHOLE,
    minReplicas=WHOLE,
    maxReplicas=WHOLE,
    rayStartParams=table(TEXT),
    template=TEMPLATE,
)
CLUSTER = record(
    "apiVersion kind metadata spec",
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayCluster"},
    metadata=record("name", name=TEXT),
    spec=record(
        "headGroupSpec",
        rayVersion=TEXT,
        enableInTreeAutoscaling=YES_NO,
        autoscalerOptions=record("", idleTimeoutSeconds=WHOLE),
        headGroupSpec=HEAD,
        workerGroupSpecs=many(WORKERS),
    ),
)


def test_kuberay_has_the_fields_of_the_cluster_with_these_types() -> None:
    cluster = yaml.safe_load((DEPLOY / "ray-cluster.yaml").read_text("utf-8"))
    jsonschema.Draft202012Validator(CLUSTER).validate(cluster)
    for group in [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]:
        pod = group["template"]["spec"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        assert {mount["name"] for each in pod["containers"] for mount in each["volumeMounts"]} == volumes
    (group,) = cluster["spec"]["workerGroupSpecs"]
    assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    group["maxReplicas"] = "4"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(CLUSTER).validate(cluster)


def test_machines_of_a_cluster_are_started_with_settings_and_flags_that_there_are() -> None:
    composed = yaml.safe_load((DEPLOY / "compose.ray.yaml").read_text("utf-8"))
    cluster = yaml.safe_load((DEPLOY / "ray-cluster.yaml").read_text("utf-8"))
    spec = cluster["spec"]
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
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
