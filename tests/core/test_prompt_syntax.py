"""Prompts as people write them: what other programs take as instructions is found, and nothing else."""

from __future__ import annotations

import time

import pytest

from i2v.core.messages import catalogue
from i2v.core.prompt_syntax import SHOWN, find_syntax, notices_on_syntax
from scripts.train_embedded.motions import CHINESE_PHRASES, HELD_OUT_PHRASES, PHRASES


@pytest.mark.parametrize(
    ("prompt", "pieces"),
    [
        ("(camera pans left:1.4), [blurry:0.5], ((masterpiece))",
         ["(camera pans left:1.4)", "[blurry:0.5]", "((masterpiece))"]),
        ("a (red hat:-0.5) and a (dog:2)", ["(red hat:-0.5)", "(dog:2)"]),
        ("(8k:1.3), (word: 1.2), (.5:.5)", ["(8k:1.3)", "(word: 1.2)"]),
        ("(镜头左移:1.4)", ["(镜头左移:1.4)"]),
        ("(word)1.2 (word)++", [")1.2", ")++"]),
        ("[word]", ["[word]"]),
        ("a cat, [blurry], [low quality]", ["[blurry]", "[low quality]"]),
        ("[cat:dog:0.5] [cat:dog:10] [cat|dog]", ["[cat:dog:0.5]", "[cat:dog:10]", "[cat|dog]"]),
        ("<lora:motion:0.8> zoom in <LyCO:x>", ["<lora:motion:0.8>", "<LyCO:x>"]),
        ("<my_thing:name:0.7> embedding:easynegative", ["<my_thing:name:0.7>", "embedding:easynegative"]),
        ("{pan left|pan right} {2$$a|b|c}", ["{pan left|pan right}", "{2$$a|b|c}"]),
        ("__wildcard__ and __colors/red__", ["__wildcard__", "__colors/red__"]),
        ("zoom in BREAK slowly", ["BREAK"]),
        ("zoom in\nBREAK\nslowly", ["BREAK"]),
        ("/imagine prompt: a cat --ar 16:9 --v 6", ["/imagine prompt:", "--ar 16:9", "--v 6"]),
        ("a cat --no text, --seed=5 --weird 300", ["--no text", "--seed=5", "--weird 300"]),
        ("a cat -motion 2 -gs 12", ["-motion 2", "-gs 12"]),
        ("hot::2 dog", ["hot::2"]),
        ("(zoom:1.2) (zoom:1.2)", ["(zoom:1.2)"]),
    ],
)  # fmt: skip
def test_pieces_are_found_in_their_order(prompt: str, pieces: list[str]) -> None:
    assert find_syntax(prompt) == pieces


@pytest.mark.parametrize(
    "prompt",
    [
        "a man (left) and a dog", "(slowly)", "scene [night]", "a [red] car, a blue one",
        "(pause) then (zoom)",
        "a (very (nested) thing)", "((a) and (b))", "[wide shot] a man walks", "[Scene 1]\nA man", "note [1]",
        "at 10:30", "(at 10:30)", "[00:05]", "[00:00:05] pan", "(16:9)", "(aspect ratio 2.39:1)", "score 2:1",
        "(see John 3:16)", "(note: slow)", "（左）镜头慢移", "（慢：1.2）", "【夜晚】的街道",
        "smile :))", "\\(o_o)/",
        "if (x) { return 1; }", "a || b", "{ x = a | b; }", "{0} {prompt} ${HOME} $(id)",
        '{"prompt": "zoom in"}',
        "{{name}}", "{", "f((x))", "def __init__(self): pass", 'if __name__ == "__main__":',
        "snake__case__name",
        "std::cout", "key: [value", "<script>alert(1)</script>", "![x](http://127.0.0.1:9/a.png)",
        "a man -- slowly", "word--word", "the house was dark --no one was home", "---", "a -5 degree day",
        "half-camera", "and/or", "/etc/passwd", "THE WAVES BREAK ON THE SHORE", "waves break",
        'a sign "BREAK"',
        "a sign BREAK FREE glows", "a cat AND a dog", "(f/2.8)", "%s %d", "'; DROP TABLE jobs; --", "",
    ],
)  # fmt: skip
def test_ordinary_writing_is_none(prompt: str) -> None:
    assert find_syntax(prompt) == []


@pytest.mark.parametrize("phrases", [PHRASES, HELD_OUT_PHRASES, CHINESE_PHRASES])
def test_what_the_embedded_model_was_taught_is_none(phrases: dict[str, tuple[str, ...]]) -> None:
    assert [
        find_syntax(phrase) for meaning in phrases.values() for phrase in meaning if find_syntax(phrase)
    ] == []


def test_one_notice_for_each_prompt_names_some_of_many() -> None:
    many = ", ".join(f"(word{letter}:1.2)" for letter in "abcdef")
    notice, negative = notices_on_syntax(many, "[[blurry]]")
    assert (notice.code, negative.code) == ("prompt.syntax", "prompt.negative_syntax")
    assert str(notice.params["pieces"]).count("word") == SHOWN
    assert "+ 3" in str(notice.params["pieces"])
    assert negative.params == {"pieces": "[[blurry]]"}
    assert {notice.code, negative.code} <= catalogue().keys()
    assert notices_on_syntax("zoom in", "") == ()


@pytest.mark.parametrize(
    "piece",
    ["(", "[", "((a", "[a:", "{a|", "[a|", "__a", "a,[", "<a:", "--a ", "a::", "(a:1.", "BREAK ", ")"],
)
def test_no_prompt_takes_long(piece: str) -> None:
    started = time.process_time()
    find_syntax((piece * 2000)[:2000])
    assert time.process_time() - started < 10  # minutes, if it grew with the cube
