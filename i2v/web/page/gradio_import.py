"""Importing Gradio without the work that its developers need and a server does not.

For each class of component, Gradio 6 parses the component's source and writes a type stub beside it. That is
nearly half of its import (1.0 of 2.3 s of CPU time, measured), and writes into the installation each time.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

_MODULE, _FUNCTION = "gradio.component_meta", "create_or_modify_pyi"


@contextmanager
def without_stubs() -> Iterator[None]:
    """Let Gradio, if it is imported in this block, write no stubs."""
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _MODULE:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(Loader):
    """Loads the module as ever, then lets its function do nothing."""

    def __init__(self, usual: Loader) -> None:
        self._usual = usual

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._usual.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._usual.exec_module(module)
        if hasattr(module, _FUNCTION):  # another version of Gradio may have no such function
            setattr(module, _FUNCTION, _write_nothing)


def _write_nothing(component_class: type, class_name: str, events: object) -> None:
    """Stand in for `create_or_modify_pyi`, which is called with these."""
