"""web.page.allowed: lists have the buttons that are of use to whoever looks."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from pydantic import SecretStr

from i2v.core.engine_spec import Capabilities
from i2v.core.users import Role, User, acting_as
from i2v.jobs.model import JobPage
from i2v.jobs.store import JobStore
from i2v.service.service import Unfinished
from i2v.web.page import gallery_panels, queue_panels
from i2v.web.page.allowed import allows, allows_by
from tests.job_crew import ram_folder, result_of, submission
from tests.rehearsal import ENGINES, REHEARSAL


def buttons(html: str) -> list[str]:
    return [act for act in re.findall(r'<button[^>]* data-act="(\w+)"', html) if act != "open"]


@pytest.mark.parametrize(
    ("role", "whole", "mine", "others"),
    [
        ("view", [], [], []),
        ("make", [], ["cancel"], []),
        ("administer", ["pause", "cancel_all"], ["down", "cancel"], ["first", "up", "cancel"]),
    ],
)
def test_each_role_has_its_buttons(role: Role, whole: list[str], mine: list[str], others: list[str]) -> None:
    user = User(name="alice", role=role, token=SecretStr("a-token-of-more-than-sixteen-letters"))
    with ram_folder() as folder, acting_as(user):
        store = JobStore(folder / "jobs.db")
        for name in ("alice", "bob"):
            store.submit(replace(submission(), user=name))
        unfinished = [Unfinished(job, None) for job in store.unfinished()]
        assert buttons(queue_panels.running(unfinished, "en", allows=allows)) == whole
        assert buttons(queue_panels.waiting(unfinished, "en", allows)) == [*mine, *others]
        for _ in range(2):
            claim = store.claim("worker")
            assert claim is not None
            store.finish(claim, result_of(claim.job.id))
        page = store.page()
        ended = buttons(queue_panels.finished(page, "en", True, 0, 1, allows=allows))
        assert ended.count("delete") == {"view": 0, "make": 1, "administer": 2}[role]
        assert ("clear" in ended) == (role == "administer")
        shown = buttons(gallery_panels.clips(page, "en", False, True, allows=allows))
        assert shown.count("star") == ended.count("delete")
        assert ("rerun_picked" in shown) == (role != "view")
        gone = buttons(gallery_panels.trash(JobPage(page.jobs, None), "en", True, allows=allows))
        assert gone.count("restore") == gone.count("purge") == ended.count("delete")
        store.close()


def test_a_clip_is_made_longer_where_its_engine_can() -> None:
    with ram_folder() as folder:
        store = JobStore(folder / "jobs.db")
        job = store.submit(submission())
        store.close()
    assert job.generation is not None
    job = replace(job, generation=replace(job.generation, engine=REHEARSAL.name))
    assert allows_by(ENGINES)("longer", job)
    assert not allows_by({})("longer", job)
    no_story = replace(REHEARSAL, capabilities=Capabilities())
    assert not allows_by({REHEARSAL.name: no_story})("longer", job)
