"""Which buttons of a list have a use for whoever looks at it: the others are left out.

What they would do is refused anyway (`service.rights`); this only says so before anything is pressed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from i2v.core.engine_spec import EngineSpec
from i2v.core.users import current_user
from i2v.jobs.model import Job
from i2v.service.rights import may_change

Allows = Callable[[str, Job | None], bool]  # the name of an act, and the job that it is for, if it is one's

# The last two say how many jobs they are for, which are everybody's.
_ADMINISTERS = frozenset(("pause", "resume", "first", "up", "down", "cancel_all", "clear"))
_CHANGES = frozenset(
    ("cancel", "delete", "delete_picked", "purge", "rerun_picked", "restore", "retry", "star")
)


def allows(act: str, job: Job | None) -> bool:
    """Tell whether a button is of use to the user of the moment."""
    user = current_user()
    if user is None or user.may("administer"):
        return True
    if act in _ADMINISTERS:
        return False
    if act in ("enhance", "longer"):  # it makes another job, whosever the clip is
        return user.may("make")
    return act not in _CHANGES or (user.may("make") if job is None else may_change(job.user))


def allows_by(engines: Mapping[str, EngineSpec]) -> Allows:
    """Return `allows`, with "longer" for clips alone whose engine makes more of one."""

    def allowed(act: str, job: Job | None) -> bool:
        if act == "longer" and job is not None and job.generation is not None:
            spec = engines.get(job.generation.engine)
            if spec is None or not spec.capabilities.story:
                return False
        return allows(act, job)

    return allowed


def everything(act: str, job: Job | None) -> bool:
    return True
