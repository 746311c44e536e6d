"""The table of sentences against each use in the sources, and errors that survive any text and any pipe."""

from __future__ import annotations

import ast
import json
import pickle
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Formatter

import pytest

import i2v.core.errors
from i2v.core.errors import (
    Cancelled,
    EncodeError,
    I2VError,
    InsufficientMemory,
    InvalidRequest,
    ModelUnavailable,
    Notice,
    QueueFull,
    printable,
    render,
)
from i2v.core.messages import catalogue

PACKAGE = Path(i2v.core.errors.__file__).parents[1]
CONSTRUCTORS = {"Notice", "I2VError", *(kind.__name__ for kind in I2VError.__subclasses__())}
FAMILIES = "|".join(sorted({code.split(".")[0] for code in catalogue()}))

Function = ast.FunctionDef | ast.AsyncFunctionDef


# --- reading the sources: which code is used where, with which params


@dataclass(frozen=True)
class Use:
    where: str
    code: str
    params: frozenset[str]
    is_notice: bool


def find_uses(source: str, where: str) -> Iterator[Use]:
    """Yield each error and notice that `source` makes. A code or a param that cannot be read is an error."""
    tree = ast.parse(source)
    for call, function in calls(tree, None):
        if called(call) in CONSTRUCTORS:
            place = f"{where}:{call.lineno}"
            codes = codes_of(call.args[0], function, tree)
            assert codes, f"{place}: the code cannot be read; write it as a literal"
            for code in sorted(codes):
                params = frozenset(params_of(call, function, place))
                yield Use(place, code, params, called(call) == "Notice")


def calls(node: ast.AST, function: Function | None) -> Iterator[tuple[ast.Call, Function | None]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            yield child, function
        yield from calls(child, child if isinstance(child, Function) else function)


def called(call: ast.Call) -> str:
    return getattr(call.func, "id", getattr(call.func, "attr", ""))


def texts(node: ast.AST) -> set[str]:
    return {n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def codes_of(node: ast.expr, function: Function | None, tree: ast.Module) -> set[str]:
    if not isinstance(node, ast.Name):
        return texts(node)
    if function is None:
        return set()
    parameters = [parameter.arg for parameter in function.args.args]
    if node.id in parameters:  # a helper: its callers say the code, in the same place
        position = parameters.index(node.id)
        sites = [call for call, _ in calls(tree, None) if called(call) == function.name]
        return set().union(*(texts(call.args[position]) for call in sites))
    return {text for text in texts(function) if re.fullmatch(rf"({FAMILIES})\.[a-z0-9_]+", text)}


def params_of(call: ast.Call, function: Function | None, place: str) -> set[str]:
    if called(call) == "Notice":
        return keys_of(call.args[1], function, place)
    named = {keyword.arg for keyword in call.keywords if keyword.arg is not None}
    spread = [keyword.value for keyword in call.keywords if keyword.arg is None]
    return named.union(*(keys_of(value, function, place) for value in spread))


def keys_of(node: ast.expr, function: Function | None, place: str) -> set[str]:
    if isinstance(node, ast.Dict):
        spread = [v for k, v in zip(node.keys, node.values, strict=True) if k is None]
        named = {text for key in node.keys if key is not None for text in texts(key)}
        return named.union(*(keys_of(value, function, place) for value in spread))
    if isinstance(node, ast.Call):  # dict(zip(("left", "top"), ...))
        return texts(node)
    assert isinstance(node, ast.Name), f"{place}: the params cannot be read; write them as keywords or a dict"
    assert function is not None, f"{place}: {node.id} is not made in the function"
    made = [
        step.value
        for step in ast.walk(function)
        if isinstance(step, ast.Assign) and getattr(step.targets[0], "id", None) == node.id
    ]
    assert made, f"{place}: {node.id} is not made in the function"
    return set().union(*(keys_of(value, function, place) for value in made))


@cache
def uses() -> list[Use]:
    return [
        use
        for path in sorted(PACKAGE.rglob("*.py"))
        for use in find_uses(path.read_text(encoding="utf-8"), str(path.relative_to(PACKAGE)))
    ]


def placeholders(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


def test_every_code_has_a_sentence_and_every_param_a_place_in_it() -> None:
    for use in uses():
        assert use.code in catalogue(), f"{use.where} uses {use.code}, which has no sentence"
        sentence = catalogue()[use.code].message
        assert use.params == placeholders(sentence), f"{use.where}: {sentence}"


def test_every_sentence_is_used() -> None:
    assert catalogue().keys() - {use.code for use in uses()} == set()


SAMPLE = """
def direct():
    raise InvalidRequest("image.empty", size=1)

def helper(path, code):
    raise ModelUnavailable(code, path=path)

def callers():
    helper("a", "weights.one")
    helper("b", "weights.two" if x else "weights.three")

def chosen():
    code = "encode.full" if x else "encode.failed"
    extra = {"free": 1, **more}
    more = dict(zip(("left", "top"), y))
    return errors.EncodeError(code, path="p", **extra)

def notices():
    yield Notice("image.padded", {"size": 1, **more})
    more = {"right": 1}
"""


def test_the_reader_of_the_sources_sees_every_way_an_error_is_made() -> None:
    found = {(use.code, use.params) for use in find_uses(SAMPLE, "sample.py")}
    assert found == {
        ("image.empty", frozenset({"size"})),
        ("weights.one", frozenset({"path"})),
        ("weights.two", frozenset({"path"})),
        ("weights.three", frozenset({"path"})),
        ("encode.full", frozenset({"path", "free", "left", "top"})),
        ("encode.failed", frozenset({"path", "free", "left", "top"})),
        ("image.padded", frozenset({"size", "right"})),
    }


@pytest.mark.parametrize("source", ["Notice(x, {})", "def f():\n    EncodeError(x)", "Notice('image.a', x)"])
def test_the_reader_of_the_sources_refuses_what_it_cannot_read(source: str) -> None:
    with pytest.raises(AssertionError, match=r"sample\.py:"):
        list(find_uses(source, "sample.py"))


# --- the table itself


# Words that begin a sentence, or go on after a comma or the like, and tell somebody what to do.
ADVICE = re.compile(
    r"(^|[.:,?] |\b(and|or) )(add|answer|cancel|check|choose|crop|describe|did you mean|download|free"
    r"|generate|install|lower|make|move|open|pass|put|redirect|reinstall|restart|run|save|scale|see|send|set|stop"
    r"|submit|try|unset|update|use|wait)\b",
    re.IGNORECASE,
)
COMMAND_LINE = {  # says these alone, and knows no hints
    "clip.unreadable", "image.unreadable", "job.interrupted", "provenance.none", "provenance.unreadable",
    "settings.unreadable",
}  # fmt: skip


def errors() -> list[str]:
    found = {use.code for use in uses() if not use.is_notice and not use.code.startswith("doctor.")}
    return sorted(found - COMMAND_LINE)


def test_every_error_says_what_to_do_itself_or_has_a_hint() -> None:
    for code in errors():
        entry = catalogue()[code]
        says = bool(placeholders(entry.message) & {"allowed", "fix"} or ADVICE.search(entry.message))
        assert says != bool(entry.hint), entry.message


def test_every_hint_belongs_to_an_error() -> None:
    assert {code for code, entry in catalogue().items() if entry.hint} <= set(errors())


@pytest.mark.parametrize("params", [{}, {"field": "fps", "value": "0"}])
def test_a_missing_param_is_a_bug_and_raises_at_once(params: dict[str, str]) -> None:
    with pytest.raises(KeyError):
        InvalidRequest("request.invalid", **params)


# --- errors and notices


def test_an_error_is_code_params_and_message() -> None:
    error = InvalidRequest("request.invalid", field="fps", value="0", allowed="a number")
    assert str(error) == error.message == "fps must be a number (got 0)."
    assert error.to_dict() == {
        "code": "request.invalid",
        "params": {"field": "fps", "value": "0", "allowed": "a number"},
        "message": error.message,
    }


def test_a_notice_is_code_params_and_message() -> None:
    notice = Notice("prompt.truncated", {"limit": 77, "removed": "a dog"})
    assert notice.to_dict() == {
        "code": "prompt.truncated",
        "params": {"limit": 77, "removed": "a dog"},
        "message": render("prompt.truncated", {"limit": 77, "removed": "a dog"}),
    }


@pytest.mark.parametrize(
    ("kind", "exit_code"),
    [
        (I2VError, 1),
        (InvalidRequest, 2),
        (ModelUnavailable, 1),
        (InsufficientMemory, 1),
        (EncodeError, 1),
        (QueueFull, 1),
        (Cancelled, 130),
    ],
)
def test_the_command_line_ends_with_the_errors_exit_code(kind: type[I2VError], exit_code: int) -> None:
    assert kind("image.empty").exit_code == exit_code


@pytest.mark.parametrize("kind", [InvalidRequest, EncodeError, Cancelled])
def test_an_error_passes_between_processes_unchanged(kind: type[I2VError]) -> None:
    error = kind("request.invalid", field="fps", value="{value}", allowed="a number")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert copy.to_dict() == error.to_dict()


def test_a_name_with_a_lone_surrogate_can_be_printed_logged_and_sent() -> None:
    error = EncodeError("output.not_a_folder", path="/clips/\udcff")
    assert error.params == {"path": "/clips/\\udcff"}
    assert "/clips/\\udcff" in str(error).encode("utf-8").decode()
    json.dumps(error.to_dict(), ensure_ascii=False).encode("utf-8")


def test_braces_in_a_value_are_text() -> None:
    assert str(InvalidRequest("image.damaged", reason="{0} {x!r} {")).count("{0} {x!r} {") == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("镜头向左移动 é 🙂", "镜头向左移动 é 🙂"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\x1b[31mred\0", "\\x1b[31mred\\x00"),
        ("\ud800", "\\ud800"),
        ("\u202etxt.exe", "\\u202etxt.exe"),
    ],
)
def test_printable_escapes_what_breaks_a_line_or_a_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown
