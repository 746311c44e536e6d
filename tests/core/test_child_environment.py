"""i2v.core.child_environment: what other programs need, and no secret."""

from __future__ import annotations

import os

import pytest

from i2v.core.child_environment import child_environment


def test_secrets_stay_and_what_programs_need_goes_along(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = ("I2V_SECURITY__TOKEN", "HF_TOKEN", "GITHUB_PAT", "http_proxy", "ANYTHING_ELSE")
    needed = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH")
    for name in (*secrets, *needed):
        monkeypatch.setenv(name, "value")
    passed = child_environment({"OMP_NUM_THREADS": "1"})
    assert {name: passed.get(name) for name in needed} == dict.fromkeys(needed, "value")
    assert not set(secrets) & set(passed)
    assert passed["OMP_NUM_THREADS"] == "1"
    assert "GITHUB_PAT" in os.environ, "ours is as it was"
