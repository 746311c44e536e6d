"""Python reads this first where its folder is on the path: the package of $HIDDEN_PACKAGE is not there.

The value is PACKAGE=MODULE. With HIDDEN_BY_AGE=1 it is there, of a version that is too old, and has none of
the names that i2v imports. Child processes inherit both.
"""

import importlib.metadata
import os
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

PACKAGE, _, MODULE = os.environ.get("HIDDEN_PACKAGE", "").partition("=")
IS_OLD = os.environ.get("HIDDEN_BY_AGE") == "1"


class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] != MODULE:
            return None
        if IS_OLD and name == MODULE:
            return ModuleSpec(name, Empty, is_package=True)
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)


class Empty:
    create_module = staticmethod(lambda spec: ModuleType(spec.name))
    exec_module = staticmethod(lambda module: None)


class Old(importlib.metadata.Distribution):
    def read_text(self, filename):
        return f"Name: {PACKAGE}\nVersion: 0.0.1\n" if filename == "METADATA" else None

    def locate_file(self, path):
        raise FileNotFoundError(path)


def from_name(name):
    if name.lower().replace("_", "-") != PACKAGE:
        return usual(name)
    if IS_OLD:
        return Old()
    raise importlib.metadata.PackageNotFoundError(name)


if MODULE:
    sys.meta_path.insert(0, Finder)
    usual = importlib.metadata.Distribution.from_name
    importlib.metadata.Distribution.from_name = from_name
