"""core.users: who is named in the settings, from a file, the environment and other files' tokens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from i2v.core.errors import InvalidRequest
from i2v.core.settings_sources import load_settings
from i2v.core.users import acting_as, current_user

TOKEN = "a-token-of-more-than-sixteen-letters"
ALICE = {"name": "alice", "role": "make", "token": TOKEN}


def load(users: object, **environ: str) -> tuple[object, ...]:
    return load_settings(environ={"I2V_SECURITY__USERS": json.dumps(users), **environ}).security.users


def test_users_are_read_from_yaml_and_from_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        "security:\n  users:\n"
        f"    - {{name: 小王, role: view, token: {TOKEN}}}\n"
        "    - {name: bob, role: administer, token_file: secrets/bob, max_queued: 3, max_per_day: 20}\n"
    )
    wang, bob = load_settings(file).security.users
    assert (wang.name, wang.role, wang.token.get_secret_value()) == ("小王", "view", TOKEN)
    assert (bob.token_file, bob.max_queued, bob.max_per_day) == (tmp_path / "secrets/bob", 3, 20)
    assert [wang.may(role) for role in ("view", "make", "administer")] == [True, False, False]
    assert bob.may("make")
    [alice] = load([{"name": "alice", "role": "make", "token_env": "ALICE"}], ALICE=TOKEN)
    assert alice == load([ALICE])[0]
    assert TOKEN not in repr(alice)
    assert load_settings().security.users == ()


@pytest.mark.parametrize(
    "users",
    [
        "alice",
        [TOKEN],
        [{**ALICE, "role": "root"}],
        [{**ALICE, "token": f"{TOKEN} "*20}],
        [{**ALICE, "token_file": "too"}],
        [{"name": "alice", "role": "make"}],
        [{"name": "alice", "role": "make", "token_env": "NOT_SET"}],
        [{**ALICE, "name": ""}],
        [{**ALICE, "name": "a\nb"}],
        [{**ALICE, "max_queued": -1}],
        [{**ALICE, "quota": 1}],
        [ALICE, {**ALICE, "token": TOKEN + "2"}],
        [ALICE, {**ALICE, "name": "bob"}],
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_without_a_token_in_the_complaint(users: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        load(users)
    assert caught.value.code == "settings.invalid"
    assert str(caught.value.params["key"]).startswith("security.users")
    assert TOKEN not in caught.value.message


def test_the_user_of_the_moment_ends_with_the_block() -> None:
    [alice] = load([ALICE])
    assert current_user() is None
    with acting_as(alice):  # type: ignore[arg-type]
        assert current_user() is alice
    assert current_user() is None
