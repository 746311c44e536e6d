"""What a person sees of a failure that nobody foresaw: a sentence; the traceback goes to a file in logs/.

Works with the standard library alone: what failed may be the loading of any package.
"""

from __future__ import annotations

import os
import traceback
from datetime import datetime
from pathlib import Path

from i2v.core.packages import package_error

LOGS = Path(__file__).resolve().parents[2] / "logs"


def failure_sentence(error: Exception) -> str:
    """Return the sentence, which names the package if one is the cause; called where `error` is handled."""
    found = package_error(error)
    if found is None:
        return f"Internal error in i2v ({type(error).__name__}). {_log_traceback()}"
    return found.message if isinstance(error, ImportError) else f"{found.message} {_log_traceback()}"


def _log_traceback() -> str:
    """Write the traceback to logs/ and return a sentence that says where."""
    path = LOGS / f"error_{datetime.now():%Y%m%d_%H%M%S}_{os.getpid()}.log"
    try:
        path.parent.mkdir(exist_ok=True)
        path.write_text(traceback.format_exc(), encoding="utf-8")
    except OSError as error:
        return f"Its details could not be written to {path}: {error}."
    return f"Details are in {path}."
