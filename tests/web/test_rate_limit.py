"""How often one address may try."""

import pytest

from exporter.web.rate_limit import Limiter, client_key


class Clock:
    """A clock that goes when set."""

    now = 0.0

    def __call__(self) -> float:
        """What time it is."""
        return self.now


def test_a_bucket() -> None:
    """A burst goes through, then as many as time allows; the wait is in whole seconds."""
    clock = Clock()
    limiter = Limiter(burst=3, seconds=6, clock=clock)
    assert [limiter.wait("a") for _ in range(5)] == [0, 0, 0, 6, 6]
    clock.now = 4.5
    assert limiter.wait("a") == 2
    clock.now = 6
    assert [limiter.wait("a") for _ in range(2)] == [0, 6]
    clock.now = 1000
    assert [limiter.wait("a") for _ in range(4)] == [0, 0, 0, 6]


def test_what_is_refused_again_is_known() -> None:
    """The first refusal is news, those after it are not, until a try goes through."""
    clock = Clock()
    limiter = Limiter(burst=1, seconds=6, clock=clock)
    news = []
    for now in (0, 1, 2, 3, 7, 8, 9):
        clock.now = now
        known = limiter.refuses("a")
        news.append(bool(limiter.wait("a")) and not known)
    assert news == [False, True, False, False, False, True, False]


def test_each_address_has_its_own() -> None:
    """One address that tries too often does not shut another out."""
    limiter = Limiter(burst=1, seconds=6, clock=Clock())
    assert [limiter.wait("a"), limiter.wait("a"), limiter.wait("b")] == [0, 6, 0]


def test_memory_is_bounded() -> None:
    """A million addresses are not remembered."""
    limiter = Limiter(burst=1, seconds=6, clock=Clock())
    for address in range(5000):
        limiter.wait(address)
    assert len(limiter._buckets) == 1024
    assert limiter.wait(4999) == 6


@pytest.mark.parametrize(
    ("address", "known_as"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        (None, ""),
        ("unix:", ""),
    ],
)
def test_client_key(address: str | None, known_as: str) -> None:
    """An IPv6 client counts by its network, since it has endless addresses in it."""
    assert client_key(address) == known_as
