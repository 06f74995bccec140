"""An answer's body that any number of connections send at a time, from one buffer."""

from __future__ import annotations

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

PART = 128 * 1024  # bytes that are under way to one client


class SharedBody(Payload):
    """Bytes, sent in parts as fast as the client takes them; aiohttp would copy all of them at once."""

    _value: bytes

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._size = len(data)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """The body as text."""
        return self._value.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Sends it; waits while the client takes nothing."""
        view = memoryview(self._value)
        for start in range(0, len(view), PART):
            await writer.write(view[start : start + PART])
