"""`i2v doctor`: what keeps this machine from making videos, and what to do about it."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from i2v.cli.parsers import Commands
from i2v.core.errors import InvalidRequest
from i2v.core.packages import package_error
from i2v.doctor.findings import Finding

HEADINGS = {
    "out_of_memory": "Memory",
    "no_response": "Model files",
    "stiff_motion": "Stiff motion",
    "black_output": "Video files",
    "page_unreachable": "Port",
    "slow": "Speed",
    "several_runs": "Other programs",
    "set_up": "Installation",
}


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    parser = commands.add_parser("doctor", help="check this machine and say how to fix problems")
    parser.add_argument(
        "--port", type=int, metavar="N", help="port to check (default: server.port in the settings)"
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="read settings from FILE instead of config.yaml"
    )
    parser.add_argument("--json", action="store_true", help="print the result as one line of JSON")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Return 1 if there is a problem; warnings do not count."""
    if arguments.port is not None and not 1 <= arguments.port <= 65535:
        allowed = "a whole number from 1 to 65535"
        raise InvalidRequest("request.invalid", field="--port", value=arguments.port, allowed=allowed)
    report = _examine(arguments.config, arguments.port)
    if arguments.json:
        rows = [{"case": case, **each.to_dict()} for case, findings in report.items() for each in findings]
        print(json.dumps({"findings": rows}, ensure_ascii=False))
    else:
        print("\n".join(_lines(report)))
    return int(any(each.status == "problem" for findings in report.values() for each in findings))


def _examine(config: Path | None, port: int | None) -> dict[str, list[Finding]]:
    try:
        from i2v.doctor.examination import examine
    except Exception as error:  # a package that the examination itself needs
        found = package_error(error)
        if found is None:
            raise
        return {"set_up": [Finding("problem", found)]}
    return examine(config, os.environ, port)


def _lines(report: dict[str, list[Finding]]) -> list[str]:
    lines: list[str] = []
    for case, findings in report.items():
        lines.append(HEADINGS[case])
        for each in findings:
            lines.append(f"  {each.status:<8} {each.found.message}")
            if each.fix is not None:
                lines.append(f"    fix: {each.fix.message}")
    return lines
