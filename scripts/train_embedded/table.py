"""A stage's log as a short table: what was measured at its start, and at its end.

`python -m scripts.train_embedded.table LOG` reads the lines of JSON that `unet` prints.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

Line = dict[str, object]


def lines_of(log: str) -> list[Line]:
    """Return the log's lines of JSON; others, such as warnings, are passed over."""
    return [json.loads(line) for line in log.splitlines() if line.startswith("{") and line.endswith("}")]


def table(log: str) -> str:
    """Return a Markdown table, and one line on the training between."""
    found: dict[str, dict[str, object]] = {}
    steps: list[Line] = []
    for line in lines_of(log):
        if "evaluation" in line:
            label = f" ({line['evaluations']} evaluations)" if "evaluations" in line else ""
            for name, value in line.items():
                if name not in ("evaluation", "evaluations"):
                    found.setdefault(name + label, {})[str(line["evaluation"])] = value
        elif "clips" in line:
            steps.append(line)
    rows = ["| | start | end |", "|---|---|---|"]
    rows += [
        f"| {name} | {values.get('start', '')} | {values.get('end', '')} |" for name, values in found.items()
    ]
    if steps:
        last, first = steps[-1], steps[0]
        seconds = 60 * (float(str(last["minutes"])) - float(str(first["minutes"])))
        clips = float(str(last["clips"])) - float(str(first["clips"]))
        rate = f", {clips / seconds:.1f} clips a second" if seconds else ""
        rows.append(f"\n{last['step']} steps, {last['clips']} clips{rate}, {last['skipped']} skipped")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", type=Path)
    print(table(parser.parse_args().log.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
