"""The request: what is accepted, what is refused, and that a complaint can be read, printed and sent."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from i2v.core.errors import InvalidRequest
from i2v.core.fields import PROMPT_LIMIT
from i2v.core.schema import MAX_SEED, GenerationRequest
from tests.core.requests import PROMPT, assert_readable, parse, refusal

WHOLE = {
    "height": (64, 4096),
    "width": (64, 4096),
    "num_frames": (1, 3600),
    "fps": (1, 60),
    "target_fps": (1, 60),
    "num_inference_steps": (1, 200),
    "seed": (-1, MAX_SEED),
}
NUMBERS = {**WHOLE, "guidance_scale": (1, 30)}
TEXTS = ("prompt", "negative_prompt", "engine")
CHOICES = {
    "preset": ("quick", "standard", "high", "extreme"),
    "resolution": ("256p", "512p", "768p", "1024p"),
    "fit": ("keep", "crop", "pad"),
}


def test_gaps_stay_gaps_and_choices_have_the_published_defaults() -> None:
    request = GenerationRequest.parse({"prompt": PROMPT})
    assert request.model_dump() == {
        "prompt": PROMPT,
        "negative_prompt": None,
        "style": None,
        "preset": "standard",
        "resolution": None,
        "fit": "keep",
        "crop": None,
        "height": None,
        "width": None,
        "num_frames": None,
        "fps": None,
        "target_fps": None,
        "output_fps": None,
        "interpolation": "auto",
        "upscaler": None,
        "num_inference_steps": None,
        "guidance_scale": None,
        "seed": None,
        "engine": "auto",
        "inputs": (),
        "checkpoint": "",
        "loras": (),
        "story": (),
        "correct_drift": True,
        "loop": False,
        "sound": None,
        "narration": None,
        "options": {},
        "speed": "auto",
        "gradient_checkpointing": False,
        "device": None,
    }


# --- numbers


@pytest.mark.parametrize(("field", "bounds"), NUMBERS.items())
def test_the_bounds_themselves_are_accepted(field: str, bounds: tuple[int, int]) -> None:
    settled = [getattr(parse(**{field: bound}), field) for bound in bounds]
    assert settled == [None if (field, bound) == ("seed", -1) else bound for bound in bounds]


@pytest.mark.parametrize(("field", "bounds"), NUMBERS.items())
def test_beyond_the_bounds_field_value_and_bounds_are_named(field: str, bounds: tuple[int, int]) -> None:
    kind = "a whole number" if field in WHOLE else "a number"
    for value in (bounds[0] - 1, bounds[1] + 1):
        error = refusal(**{field: value})
        assert error.code == "request.invalid"
        remark = ", where -1 means a random one" if field == "seed" else ""
        assert error.params == {
            "field": field,
            "value": str(value),
            "allowed": f"{kind} from {bounds[0]} to {bounds[1]}{remark}",
        }


@pytest.mark.parametrize(
    "value",
    [
        True, False, "true", "", " ", "sixty", "nan", "NaN", "inf", "-Infinity", "1e999", "-1e999", "1_0",
        "0x10", "16\0", "16\ud800", "1,5", b"16", [16], {"a": 16}, float("nan"), float("inf"), float("-inf"),
        1e308, 10**400, -(10**5000), "9" * 100_000, [10**5000],
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_is_no_number_is_refused(value: object) -> None:
    for field in NUMBERS:
        error = refusal(**{field: value})
        assert (error.code, error.params["field"]) == ("request.invalid", field)
        assert " from " in str(error.params["allowed"])
        assert_readable(error)


@pytest.mark.parametrize(
    ("text", "number"), [("16", 16), (" 16 ", 16), ("16.0", 16), ("+16", 16), ("016", 16)]
)
def test_forms_and_flags_may_say_a_number_as_text(text: str, number: int) -> None:
    request = parse(num_frames=text, guidance_scale=text, seed=text)
    assert (request.num_frames, request.guidance_scale, request.seed) == (number, number, number)
    assert isinstance(request.num_frames, int)


@pytest.mark.parametrize("value", [16.5, "16.5", "1e1"])
def test_a_fraction_is_no_whole_number(value: object) -> None:
    assert refusal(num_frames=value).params["allowed"] == "a whole number from 1 to 3600"
    assert parse(guidance_scale=value).guidance_scale == float(str(value))


@pytest.mark.parametrize("value", [-1, -1.0, "-1", " -1 ", "-1.0"])
def test_a_seed_of_minus_one_is_none(value: object) -> None:
    assert parse(seed=value) == parse()


@pytest.mark.parametrize("value", [-2, "-2", -1.5, "-1.5", "--1", "random"])
def test_no_other_seed_below_zero_is_random(value: object) -> None:
    assert refusal(seed=value).params["field"] == "seed"


def test_the_schema_for_clients_tells_the_bounds() -> None:
    fields = GenerationRequest.model_json_schema()["properties"]
    for name, (low, high) in NUMBERS.items():
        (number,) = (kind for kind in fields[name]["anyOf"] if kind["type"] != "null")
        assert (number["minimum"], number["maximum"]) == (low, high)


# --- texts


@pytest.mark.parametrize("field", TEXTS)
@pytest.mark.parametrize(
    "text", ["a dog runs", "镜头向左移动", "🙂" * PROMPT_LIMIT, "two\nlines", "", " padded "]
)
def test_text_arrives_as_it_was_written(field: str, text: str) -> None:
    assert getattr(parse(**{field: text}), field) == text


@pytest.mark.parametrize("field", TEXTS)
@pytest.mark.parametrize(
    ("value", "allowed"),
    [
        ("a\0b", "a text without NUL characters"),
        ("\0", "a text without NUL characters"),
        ("a\ud800", "a text of valid Unicode (no lone surrogates)"),
        ("\udfff" * 3000, "a text of valid Unicode (no lone surrogates)"),
        ("x" * (PROMPT_LIMIT + 1), "at most 2000 characters"),
        ("x" * 1_000_000, "at most 2000 characters"),
        (b"a dog", "a text"),
        (b"a\0dog", "a text"),
        (7, "a text"),
        (True, "a text"),
        (["a dog"] * 1000, "a text"),
        ({"text": "a dog"}, "a text"),
    ],
    ids=lambda value: str(value)[:12].encode("ascii", "backslashreplace").decode(),
)
def test_what_is_no_clean_text_is_refused(field: str, value: object, allowed: str) -> None:
    error = refusal(**{field: value})
    assert (error.code, error.params["field"]) == ("request.invalid", field)
    assert error.params["allowed"] == allowed
    assert_readable(error)


def test_a_prompt_may_be_left_out_where_an_engine_can_do_without() -> None:
    request = GenerationRequest.parse({"fps": 8})
    assert (request.prompt, "prompt" in request.model_fields_set) == ("", False)


# --- choices


@pytest.mark.parametrize(("field", "names"), CHOICES.items())
def test_each_choice_is_accepted(field: str, names: tuple[str, ...]) -> None:
    assert [getattr(parse(**{field: name}), field) for name in names] == list(names)


@pytest.mark.parametrize("field", CHOICES)
@pytest.mark.parametrize("value", ["", "QUICK", "512", 512, True, ["512p"], {"a": 1}, "x" * 5000, "512p\0"])
def test_another_choice_is_refused_with_all_names(field: str, value: object) -> None:
    error = refusal(**{field: value})
    assert error.params["field"] == field
    assert all(f"'{name}'" in str(error.params["allowed"]) for name in CHOICES[field])
    assert_readable(error)


@pytest.mark.parametrize("value", ["maybe", 2, "", [], "\ud800"])
def test_gradient_checkpointing_is_true_or_false(value: object) -> None:
    error = refusal(gradient_checkpointing=value)
    assert error.params["field"] == "gradient_checkpointing"
    assert_readable(error)
    assert parse(gradient_checkpointing=True).gradient_checkpointing


# --- sizes


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"height": 512}, "request.half_size"),
        ({"width": 512}, "request.half_size"),
        ({"height": 512, "resolution": "512p"}, "request.half_size"),
        ({"height": 512, "width": 512, "resolution": "512p"}, "request.two_sizes"),
        ({"height": 512, "width": 512}, None),
        ({"height": None, "width": None, "resolution": "512p"}, None),
        ({}, None),
    ],
)
def test_the_size_is_said_in_one_way(fields: dict[str, object], code: str | None) -> None:
    if code is None:
        assert GenerationRequest.parse({"prompt": PROMPT, **fields}).height == fields.get("height")
        return
    with pytest.raises(InvalidRequest) as caught:
        GenerationRequest.parse({"prompt": PROMPT, **fields})
    assert caught.value.code == code


def test_two_sizes_are_both_named() -> None:
    error = refusal(width=640, height=480, resolution="768p")
    assert error.params == {"resolution": "768p", "height": 480, "width": 640}


# --- fields


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("steps", "num_inference_steps"),
        ("frames", "num_frames"),
        ("promt", "prompt"),
        ("Prompt", "prompt"),
        ("negativePrompt", "negative_prompt"),
        ("guidance", "guidance_scale"),
        ("num_frames ", "num_frames"),
        ("target-fps", "target_fps"),
    ],
)
def test_an_unknown_field_names_the_nearest_known_one(name: str, nearest: str) -> None:
    error = refusal(**{name: 1})
    assert (error.code, error.params["nearest"]) == ("request.unknown_field", nearest)
    assert name in str(error.params["field"])
    assert str(error.params["allowed"]).split(", ") == list(GenerationRequest.model_fields)


@pytest.mark.parametrize(
    "name", ["", "\0", "\ud800", "a.b", "x" * 100_000, "{field}", "\x1b[31m", 5, None, (1, 2)]
)
def test_no_name_of_a_field_breaks_the_complaint(name: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        GenerationRequest.parse({"prompt": PROMPT, name: 1})
    assert caught.value.code == "request.unknown_field"
    assert_readable(caught.value)


@pytest.mark.parametrize("fields", [None, [], ["prompt"], "prompt", 3])
def test_only_a_table_of_fields_is_a_request(fields: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        GenerationRequest.parse(fields)
    assert caught.value.params["allowed"] == "a table of fields"


def test_the_request_cannot_be_changed_nor_extended() -> None:
    request = parse()
    with pytest.raises(ValidationError, match="frozen"):
        request.prompt = "another"
    with pytest.raises(ValidationError, match="extra"):
        GenerationRequest(prompt=PROMPT, steps=3)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELD = st.sampled_from(list(GenerationRequest.model_fields)) | st.text(st.characters(exclude_categories=[]))


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.dictionaries(FIELD, ANYTHING, max_size=4))
def test_whatever_comes_is_accepted_or_readably_refused(fields: dict[str, object]) -> None:
    try:
        GenerationRequest.parse(fields)
    except InvalidRequest as error:
        assert_readable(error)
