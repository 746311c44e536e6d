"""The environment of programs that read what strangers sent: nothing in it is secret.

Owns which variables such a program gets. Deliberately does not know which programs there are.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType

# What programs need to start, to find their libraries, and to speak the machine's language.
_NAMES = frozenset(
    {"HOME", "LANG", "LANGUAGE", "PATH", "SHELL", "SYSTEMROOT", "TEMP", "TERM", "TMP", "TMPDIR", "TZ", "USER"}
)
_PREFIXES = ("LC_", "LD_", "DYLD_", "PYTHON", "MALLOC_", "OMP_", "OPENBLAS_", "MKL_")

_NOTHING: Mapping[str, str] = MappingProxyType({})


def child_environment(extra: Mapping[str, str] = _NOTHING) -> dict[str, str]:
    """Return the environment for a child: what it needs of ours, and `extra`. No token is among it."""
    kept = {name: value for name, value in os.environ.items() if name in _NAMES or name.startswith(_PREFIXES)}
    return {**kept, **extra}
