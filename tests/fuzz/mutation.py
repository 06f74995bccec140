"""Makes hostile text of good text: cut, spliced, repeated, with bits flipped and odd bytes put in."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

# What a parser may trip over, wherever it stands.
HOSTILE = [
    *(b"\0", b"\xff", b"\xff\xfe", b"\xed\xa0\x80", b"\xc3", b"\x1b[2J", b"\xe2\x80\xa8", b"\xe2\x80\xae"),
    *(b"\xc2\xb2", b"\xd9\xa1", b"\xc3\xa9", b"\r", b"\r\n", b"\n", b"\n\n", b"\t", b" ", b"\\", b"\\u0000"),
    *(b"\\udc00", b'"', b"'", b"{", b"}", b"[", b"]", b",", b":", b"=", b"#", b"-", b"%", b"&", b"*", b"!"),
    *(b"nan", b"inf", b"-1", b"1e400", b"-1e400", b"1_000", b"0x10", b"9" * 25, b"1" * 400, b"0.0.0"),
    *(b"|", b"true", b"null", b"[N/A]", b"[Not Supported]", b"No such object", b"250 OK\r\n", b"=\n="),
    b"x" * 300,
]  # fmt: skip

Change = Callable[[random.Random, bytes, Sequence[bytes]], bytes]


def _span(rng: random.Random, data: bytes) -> tuple[int, int]:
    """Some part: often a short one."""
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + int(rng.expovariate(1 / (1 + len(data) / rng.choice((4, 40, 400))))))


def _cut(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _remove(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _span(rng, data)
    return data[:start] + data[end:]


def _repeat(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _span(rng, data)
    return data[:end] + data[start:end] * rng.choice((1, 1, 2, 5)) + data[end:]


def _insert(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice(HOSTILE) + data[at:]


def _overwrite(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _span(rng, data)
    return data[:start] + rng.choice(HOSTILE) + data[end:]


def _flip(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    changed = bytearray(data)
    for _number in range(rng.choice((1, 1, 3))):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _splice(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    other = rng.choice(others)
    at, (start, end) = rng.randrange(len(data) + 1), _span(rng, other)
    return data[:at] + other[start:end] + data[at:]


def _shuffle(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    separator = rng.choice((b"\n", b"\n", b",", b" "))
    parts = data.split(separator)
    one, other = rng.randrange(len(parts)), rng.randrange(len(parts))
    parts[one], parts[other] = rng.choice(((parts[other], parts[one]), (parts[one], parts[one])))
    return separator.join(parts)


def _digits(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """Another number in the place of one."""
    places = [at for at in range(len(data)) if data[at : at + 1].isdigit()]
    if not places:
        return data
    at = rng.choice(places)
    return (
        data[:at]
        + str(rng.choice((0, 1, 9, 10 ** rng.randrange(30), rng.random()))).encode()
        + data[at + 1 :]
    )


CHANGES: list[Change] = [_cut, _remove, _repeat, _insert, _overwrite, _flip, _splice, _shuffle, _digits]


def mutated(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Something like it; now and then nothing like it."""
    if rng.random() < 0.02:
        return rng.randbytes(rng.randrange(200))
    for _ in range(rng.choice((1, 1, 1, 2, 2, 4, 8))):
        data = rng.choice(CHANGES)(rng, data, others)
    return data
