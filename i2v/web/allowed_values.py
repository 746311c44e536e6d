"""What a field may be, in Chinese: errors have it in English, as `allowed` ("a whole number from 1 to 60").

Owns the phrases that requests are refused with (`core.schema`, `pipeline.checks`). Deliberately does not know
the sentences around them: those are the catalogue's.
"""

from __future__ import annotations

import re

_END = r"(?P<end>, where -1 means a random one)?(?: with (?P<title>.+))?"
_PHRASES = tuple(
    (re.compile(english + _END), chinese)
    for english, chinese in (
        (r"a whole number from (?P<low>\S+) to (?P<high>[^\s,]+)", "{low} 到 {high} 之间的整数"),
        (r"a number from (?P<low>\S+) to (?P<high>[^\s,]+)", "{low} 到 {high} 之间的数"),
        (r"(?P<first>\d+, \d+, \d+) and so on up to (?P<high>\d+)", "{first} 等等，最大 {high}"),
        (r"one of (?P<names>.+?)", "以下之一：{names}"),
        (r"one (?P<role>\w+) at most", "最多一个 {role}"),
        (r"at least (?P<low>\d+) characters", "至少 {low} 个字符"),
        (r"at most (?P<high>\d+) characters", "最多 {high} 个字符"),
        (r"at least (?P<low>[\d.]+)", "不小于 {low}"),
        (r"at most (?P<high>[\d.]+)", "不大于 {high}"),
        (r"auto, cpu, or a GPU such as cuda:0", "auto、cpu，或 cuda:0 这样的 GPU"),
        (r"true or false", "true 或 false"),
        (r"a finite number", "有限的数"),
        (r"a positive number", "正数"),
        (r"a JSON object", "JSON 对象"),
        (r"a list", "列表"),
        (r"a list of at most (?P<high>\d+)", "最多 {high} 项的列表"),
        (r"a text", "文本"),
        (r"a text without NUL characters", "不含 NUL 字符的文本"),
        (r"a text of valid Unicode \(no lone surrogates\)", "有效的 Unicode 文本"),
        (
            r"left, top, right and bottom as parts of the picture .+; or a shape such as 16:9",
            "左、上、右、下四条边的位置（0 到 1，例如 0.1,0,0.9,1，对边至少相距 0.05），或 16:9 这样的比例",
        ),
        (r"an uploaded file", "已上传的文件"),
        (r"a text of 1 to (?P<high>\d+) characters", "1 到 {high} 个字符的文本"),
        (r"a text with something that can be spoken", "有可朗读内容的文本"),
        (r"the name of a voice, or empty for espeak-ng", "声线的名称，留空则用 espeak-ng"),
        (r"an object of (?P<names>.+?), without (?P<name>'.*')", "由 {names} 组成的对象，不含 {name}"),
        (r"less than (?P<high>[\d.]+), the seconds of the sound", "小于 {high}（声音的秒数）"),
        (r"left out: such files come with a job", "留空：这类文件随任务提交"),
    )
)


def in_chinese(allowed: str) -> str:
    """Return what a field may be in Chinese; what nobody has translated stays as it is."""
    for english, chinese in _PHRASES:
        if found := english.fullmatch(allowed):
            words = chinese.format_map({name: _listed(value) for name, value in found.groupdict("").items()})
            remark = "（-1 表示随机）" if found["end"] else ""
            return words + remark + (f"（{found['title']}）" if found["title"] else "")
    return allowed


def _listed(names: str) -> str:
    """Return a list as Chinese writes one: pydantic's is "'keep', 'crop' or 'pad'"."""
    return names.replace("'", "").replace(" or ", "、").replace(", ", "、")
