"""A sentence of help, as HTML, for each setting that has no room for one below its label; see `page.js`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape

from i2v.core.schema import Language
from i2v.web.texts import text

# By a regular expression that is the whole id of the setting.
TIPS: Mapping[str, str] = {
    "i2v-shape": "tip.shape",
    "i2v-preset": "tip.preset",
    "i2v-engine": "tip.engine",
    r"i2v-keyframe-\d+-frame": "tip.keyframe",
    "i2v-checkpoint": "tip.checkpoint",
    r"i2v-lora-\d+": "tip.lora",
    r"i2v-lora-\d+-strength": "tip.strength",
    r"i2v-lora-\d+-strength-2": "tip.strength.second",
    "i2v-own-name": "tip.own",
}


def tips(language: Language) -> str:
    """Return them, hidden, in a language."""
    pairs = [(pattern, text(key, language)) for pattern, key in TIPS.items()]
    return f'<span id="i2v-tips" hidden data-tips="{escape(json.dumps(pairs, ensure_ascii=False))}"></span>'
