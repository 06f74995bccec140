"""Checks a request's Authorization: passwords (bcrypt) and bearer tokens."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import os
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from weakref import WeakValueDictionary

import bcrypt

from exporter.config.strict_yaml import ConfigError
from exporter.system.files import read
from exporter.system.secret_files import WANTED, token_in
from exporter.system.threads import run_in_thread
from exporter.web.web_config import BCRYPT

REMEMBERED = 64  # passwords that were right lately
UNKNOWN_QUEUES = 16  # in which users that there are not wait
LONGEST = 72  # bytes that bcrypt reads; a longer password would be cut, so it is wrong


class Verified:
    """The passwords that were right lately, as keyed digests of name, hash and password together.

    They outlive a reload: where a user's hash is another, so is the digest.
    """

    def __init__(self) -> None:
        self.salt = os.urandom(32)
        self._digests: OrderedDict[bytes, None] = OrderedDict()

    def digest(self, *parts: bytes) -> bytes:
        """What stands for these parts, and for no others."""
        return hmac.digest(self.salt, b"".join(len(part).to_bytes(4) + part for part in parts), "sha256")

    def __contains__(self, digest: bytes) -> bool:
        """Whether it was right lately."""
        if digest in self._digests:
            self._digests.move_to_end(digest)
            return True
        return False

    def add(self, digest: bytes) -> None:
        """Remembers one; the oldest goes where they are too many."""
        self._digests[digest] = None
        while len(self._digests) > REMEMBERED:
            self._digests.popitem(last=False)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._digests)


class Credentials:
    """Who may come in. Where there are neither users nor tokens, everybody may."""

    def __init__(
        self, users: Mapping[str, str], tokens: Iterable[bytes], verified: Verified | None = None
    ) -> None:
        self._users = {name.encode(): password.encode() for name, password in users.items()}
        self._tokens = [hashlib.sha256(token).digest() for token in tokens]
        self._verified = Verified() if verified is None else verified
        self._dummy_hashes = _make_dummy_hashes(users.values())
        # One at a time; each user's one after the other, and of those each client's: who tries passwords by
        # the thousand must take neither the machine's cores nor the turns of another user or client.
        self._one = asyncio.Lock()
        self._turns: WeakValueDictionary[Hashable, asyncio.Lock] = WeakValueDictionary()

    @property
    def needed(self) -> bool:
        """Whether a request must bring any."""
        return bool(self._users or self._tokens)

    @property
    def challenge(self) -> str:
        """What WWW-Authenticate offers."""
        offers = ["Basic"] if self._users else []
        return ", ".join([*offers, "Bearer"] if self._tokens else offers)

    async def authenticate(self, authorization: str, client: str = "") -> bool:
        """Whether this Authorization header's value is right. client: who sent it, in any form.

        Raises:
            ProbeError: the system lets the exporter have no thread to check a password in.
        """
        if not self.needed:
            return True
        scheme, _, value = authorization.strip().partition(" ")
        if scheme.lower() == "bearer":
            return self._token_is_right(value.strip())
        if scheme.lower() == "basic" and self._users:
            return await self._password_is_right(value.strip(), client)
        return False

    def _token_is_right(self, token: str) -> bool:
        """Compares with every token whatever the outcome, by digest, so that time reveals nothing."""
        given = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        return sum([hmac.compare_digest(given, known) for known in self._tokens]) > 0

    async def _password_is_right(self, value: str, client: str) -> bool:
        try:
            user, colon, password = base64.b64decode(value, validate=True).partition(b":")
        except (binascii.Error, ValueError):
            return False
        known = self._users.get(user)
        digest = self._verified.digest(user, known or b"", password)
        if digest in self._verified:
            return True
        attempt = password if len(password) <= LONGEST and b"\0" not in password else b""
        queue = user if known else self._bucket(user) % UNKNOWN_QUEUES
        async with self._turn(queue, client), self._turn(queue), self._one:
            matches = await run_in_thread(bcrypt.checkpw, attempt, known or self._dummy_hash(user))
        if not (matches and known and colon and attempt == password):
            return False
        self._verified.add(digest)
        return True

    def _turn(self, *key: Hashable) -> asyncio.Lock:
        return self._turns.setdefault(key, asyncio.Lock())

    def _bucket(self, user: bytes) -> int:
        return self._verified.digest(user)[0]

    def _dummy_hash(self, user: bytes) -> bytes:
        """What an unknown user's password is checked against: no name can be guessed by the time that takes.

        A name always gets the same one, so that it seems to be a user with a cost of its own.
        """
        return self._dummy_hashes[self._bucket(user) % len(self._dummy_hashes)]


def _make_dummy_hashes(hashes: Iterable[str]) -> list[bytes]:
    """Hashes that no password has, each as costly to check as one of the users' own."""
    costs = [int(match[1]) for known in hashes if (match := BCRYPT.fullmatch(known))]
    return [bcrypt.gensalt(cost) + b"." * 31 for cost in costs or [4]]


def read_token(path: Path) -> bytes:
    """The token in the file, without the blanks around it.

    Raises:
        ConfigError: it can't be read, or holds none.
    """
    try:
        token = token_in(read(path, refuse_open_to_all=True))
    except OSError as error:
        raise ConfigError(f"the token file {path} can't be read: {error.strerror}") from error
    if token is None:
        raise ConfigError(f"the token file {path} does not hold one token: {WANTED}")
    return token
