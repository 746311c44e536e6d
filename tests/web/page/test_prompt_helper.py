"""The prompt helper's fields, and for whom they are."""

from __future__ import annotations

from i2v.engines.i2vgen_xl.specs import EMBEDDED, I2VGEN_XL
from i2v.web.page.prompt_helper import is_helped, prompt_helper
from i2v.web.page.starting_points import MOTIONS
from tests.contrary import CONTRARY


def test_it_is_for_engines_that_understand_a_whole_sentence() -> None:
    assert [is_helped(spec) for spec in (I2VGEN_XL, EMBEDDED, CONTRARY)] == [True, False, False]


def test_every_camera_move_can_be_chosen_in_the_language_of_the_page() -> None:
    english, chinese = prompt_helper("en")["value"], prompt_helper("zh-CN")["value"]
    for motion in MOTIONS.values():
        assert f'<option value="{motion.prompt["en"]}">' in english
        assert f'<option value="{motion.prompt["zh-CN"]}">' in chinese
