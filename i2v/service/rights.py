"""Which deed takes which role, and what is whose: asked by the service's own methods, so that no front end
can leave it out.

The user of the moment is `core.users`' context variable. Without one (no users, the service's own token, a
thread of the service itself) everything is allowed. To look is allowed to every user.
"""

from __future__ import annotations

from i2v.core.errors import InvalidRequest
from i2v.core.users import NO_QUOTA, Quota, Role, User, current_user


def check_role(role: Role) -> None:
    """Raise `InvalidRequest` (`security.role`) unless whoever asks may do what `role` may."""
    user = current_user()
    if user is not None and not user.may(role):
        raise InvalidRequest("security.role", user=user.name, role=user.role, needed=role)


def check_owner(owner: str | None) -> None:
    """Raise `InvalidRequest` (`security.role`, `security.not_owner`) unless whoever asks may change a thing.

    owner: the name of the user whose it is; `None`: nobody's, which only those who administer may change.
    """
    check_role("make")
    user = current_user()
    if user is not None and not may_change(owner):
        raise InvalidRequest("security.not_owner", user=user.name, owner=owner or "-")


def may_change(owner: str | None) -> bool:
    """Tell whether `check_owner` lets pass."""
    user = current_user()
    return user is None or user.may("administer") or (user.may("make") and user.name == owner)


def restricted_to() -> str | None:
    """Return whose jobs alone may be changed by whoever asks; `None`: anybody's."""
    user = current_user()
    return None if user is None or user.may("administer") else user.name


def quota_of(user: User | None) -> Quota:
    return NO_QUOTA if user is None else Quota(user.max_queued, user.max_per_day)
