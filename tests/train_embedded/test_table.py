"""The table of a stage: from its log alone, whatever else was printed into it."""

from __future__ import annotations

from scripts.train_embedded.table import table

LOG = """{"design": {}, "bits": 16}
some warning {of a library}
{"evaluation": "start", "t=900": 0.5}
{"evaluation": "start", "evaluations": 5, "flicker": 14.0}
{"minutes": 1.0, "step": 50, "clips": 1000, "loss": 0.1, "skipped": 0.0}
{"minutes": 2.0, "step": 100, "clips": 4000, "loss": 0.1, "skipped": 1.0}
{"evaluation": "end", "t=900": 0.4}
{"evaluation": "end", "evaluations": 5, "flicker": 10.0}
"""


def test_start_and_end_stand_side_by_side() -> None:
    lines = table(LOG).splitlines()
    assert "| t=900 | 0.5 | 0.4 |" in lines
    assert "| flicker (5 evaluations) | 14.0 | 10.0 |" in lines
    assert lines[-1] == "100 steps, 4000 clips, 50.0 clips a second, 1.0 skipped"


def test_a_log_that_was_cut_off_has_what_there_was() -> None:
    cut = LOG.splitlines()[2] + '\n{"evaluation": "end", "t=900'
    assert "| t=900 | 0.5 |  |" in table(cut).splitlines()
