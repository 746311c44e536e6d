"""Users: who may do what on a service that several people share, and for whom something is done just now.

Owns what a user of the settings is, the roles, and the user of the moment, a context variable: it follows a
request through coroutines, and into the threads that `anyio` runs calls in. Without users, or with the
service's own token, it is `None`, and nothing is refused. Tokens are never part of a complaint. Deliberately
does not know HTTP, nor which deed takes which role (`service.rights`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, SecretStr, model_validator

from i2v.core import setting_values as kinds
from i2v.core.bounds import Within
from i2v.core.fields import shown
from i2v.core.webhook import from_text

Role = Literal["view", "make", "administer"]
ROLES: tuple[Role, ...] = get_args(Role)  # each may do what those before it may
MAX_USERS = 1000
MAX_NAME = 64  # characters

_USER: ContextVar[User | None] = ContextVar("user", default=None)


def _name(value: object) -> str:
    given = kinds.text(value).strip()
    if not 0 < len(given) <= MAX_NAME or not given.isprintable():
        raise ValueError(f"a name of 1 to {MAX_NAME} printable characters")
    return given


def _token(value: object) -> object:
    return kinds.token(value.get_secret_value() if isinstance(value, SecretStr) else value)


class User(BaseModel):
    """One of `security.users`. The token is given, or stands in a file that is read when the server starts.

    Attributes:
        max_queued: jobs of this user that may wait; 0: as many as of all together.
        max_per_day: jobs that this user may submit within 24 hours; 0: any number.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, BeforeValidator(_name)]
    role: Role
    token: Annotated[SecretStr, BeforeValidator(_token)] = SecretStr("")
    token_file: Path | None = None
    max_queued: Annotated[int, Within(0, 10_000)] = 0
    max_per_day: Annotated[int, Within(0, 1_000_000)] = 0

    @model_validator(mode="after")
    def _one_token(self) -> Self:
        if bool(self.token.get_secret_value()) == (self.token_file is not None):
            raise ValueError("users that each have either a token, a token_env or a token_file")
        return self

    def may(self, role: Role) -> bool:
        """Tell whether this user may do what `role` may."""
        return ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True)
class Quota:
    """How much of the queue one user may take; 0: no limit of its own."""

    max_queued: int = 0
    max_per_day: int = 0


NO_QUOTA = Quota()


def read_users(value: object, base: Path, environ: Mapping[str, str]) -> object:
    """Return the users of the settings with `token_env` looked up, and paths below `base`.

    value: a list, or one text with JSON, as the environment has it.

    Raises:
        ValueError: it is no list of users, or a variable is not set.
    """
    given = from_text(value)
    if not isinstance(given, list | tuple) or not all(isinstance(each, Mapping) for each in given):
        raise ValueError("a list of {name, role, token or token_file, max_queued, max_per_day}; [] for none")
    return tuple(_read_user(dict(each), base, environ) for each in given)


def _read_user(user: dict[str, object], base: Path, environ: Mapping[str, str]) -> dict[str, object]:
    if "token_env" in user:
        variable = str(user.pop("token_env"))
        if user.get("token") or not environ.get(variable):
            raise ValueError(f"users whose token_env is a variable that is set: {shown(variable)} is not")
        user["token"] = environ[variable]
    if user.get("token_file"):
        user["token_file"] = kinds.absolute(user["token_file"], base, environ)
    return user


def check_users(found: tuple[User, ...]) -> tuple[User, ...]:
    """Refuse two users with one name or one token: either tells them apart."""
    if len({each.name for each in found}) < len(found):
        raise ValueError("a list in which no name stands twice")
    tokens = [token for each in found if (token := each.token.get_secret_value())]
    if len(set(tokens)) < len(tokens):
        raise ValueError("a list in which no token stands twice")
    return found


def current_user() -> User | None:
    """Return for whom this is done; `None`: the service itself, or whoever has its own token."""
    return _USER.get()


@contextmanager
def acting_as(user: User | None) -> Iterator[None]:
    """What is done in the block is done for `user`."""
    token = _USER.set(user)
    try:
        yield
    finally:
        _USER.reset(token)
