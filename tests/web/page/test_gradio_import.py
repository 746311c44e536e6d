"""i2v.web.page.gradio_import: Gradio as ever, but for the stubs that it writes into its own folder."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Prints how many stubs are opened while Gradio is imported, and how many handlers a component then has.
SCRIPT = """
import contextlib, sys
from i2v.web.page.gradio_import import without_stubs
stubs = []
def note(event, args):
    if event == "open" and str(args[0]).endswith(".pyi"):
        stubs.append(args[0])
sys.addaudithook(note)
finders = list(sys.meta_path)
with {guard}():
    import gradio
assert sys.meta_path == finders
with gradio.Blocks() as blocks:
    box = gradio.Textbox()
    box.change(lambda text: text, box, box)
print(len(stubs), len(blocks.fns))
"""


def imported(guard: str) -> tuple[int, int]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(guard=guard)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    stubs, handlers = done.stdout.split()
    return int(stubs), int(handlers)


@pytest.mark.slow
def test_no_stub_is_touched_and_components_work() -> None:
    assert imported("without_stubs") == (0, 1)


@pytest.mark.slow
def test_without_it_gradio_touches_them() -> None:
    """When this fails, Gradio has changed, and `i2v.web.page.gradio_import` may go."""
    stubs, handlers = imported("contextlib.nullcontext")
    assert stubs > 50
    assert handlers == 1
