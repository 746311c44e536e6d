"""i2v.web.guard.attempts: who guessed too often waits, as long as it says, and nobody else does."""

from __future__ import annotations

import pytest

from i2v.web.guard.attempts import MAX_KNOWN, Attempts, Limit, network_of


class Clock:
    """Seconds, as a test wants them."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_after_a_burst_there_is_one_more_each_time_that_its_seconds_have_passed() -> None:
    clock = Clock()
    attempts = Attempts(Limit(burst=3, seconds=10), clock)
    for _ in range(3):
        assert attempts.seconds_to_wait("a") == 0
        attempts.add_failure("a")
    assert attempts.seconds_to_wait("a") == 10
    clock.now += 9.5
    assert attempts.seconds_to_wait("a") == 1
    clock.now += 0.5
    assert attempts.seconds_to_wait("a") == 0
    attempts.add_failure("a")
    assert attempts.seconds_to_wait("a") == 10


def test_a_burst_is_there_again_once_all_has_passed_and_not_more() -> None:
    clock = Clock()
    attempts = Attempts(Limit(burst=2, seconds=10), clock)
    clock.now += 10_000
    for _ in range(2):
        assert attempts.seconds_to_wait("a") == 0
        attempts.add_failure("a")
    assert attempts.seconds_to_wait("a") == 10
    clock.now += 20
    attempts.add_failure("a")
    assert attempts.seconds_to_wait("a") == 0


def test_others_do_not_wait() -> None:
    attempts = Attempts(Limit(burst=1, seconds=10), Clock())
    attempts.add_failure("a")
    assert (attempts.seconds_to_wait("a"), attempts.seconds_to_wait("b")) == (10, 0)


def test_only_so_many_are_remembered_and_the_latest_of_them() -> None:
    attempts = Attempts(Limit(burst=1, seconds=10), Clock())
    attempts.add_failure("busy")
    for number in range(MAX_KNOWN):
        attempts.add_failure(str(number))
        attempts.add_failure("busy")
    assert len(attempts) == MAX_KNOWN
    assert attempts.seconds_to_wait("busy") > 10
    assert attempts.seconds_to_wait("0") == 0
    assert attempts.seconds_to_wait(str(MAX_KNOWN - 1)) == 10


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.168.1.7", "192.168.1.7"),
        ("::ffff:192.168.1.7", "192.168.1.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("a name", "a name"),
    ],
)
def test_a_client_is_known_by_what_it_has_to_itself(address: str, network: str) -> None:
    assert network_of(address) == network
