import asyncio
from email.utils import parsedate_to_datetime

import pytest
from aiohttp import HttpVersion10, HttpVersion11

from exporter.engine.scrape import Scraper
from exporter.web.shared_response import PART, Message
from tests.crowd import Client, crowd
from tests.scripted import Script

HEAD_OF = b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


def answered(head: bytes) -> tuple[str, dict[str, str]]:
    """The status line, and the headers by lower-case name, of which none is twice."""
    status, *lines = head.decode().removesuffix("\r\n\r\n").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert len(headers) == len(lines)
    return status, {name.lower(): value for name, value in headers.items()}


@pytest.mark.parametrize(
    ("request_head", "status", "connection"),
    [
        ("GET /metrics HTTP/1.1\r\n", "HTTP/1.1 200 OK", None),
        ("GET /metrics HTTP/1.1\r\nConnection: close\r\n", "HTTP/1.1 200 OK", "close"),
        ("GET /metrics HTTP/1.0\r\n", "HTTP/1.0 200 OK", None),
        ("GET /metrics HTTP/1.0\r\nConnection: keep-alive\r\n", "HTTP/1.0 200 OK", "keep-alive"),
        ("HEAD /metrics HTTP/1.1\r\n", "HTTP/1.1 200 OK", None),
    ],
)
async def test_the_head_is_what_aiohttp_says_elsewhere(
    request_head: str, status: str, connection: str | None
) -> None:
    """Version, connection and the headers that every answer has are those of any other path."""
    async with crowd(Script()) as visitors, asyncio.timeout(100):
        heads = []
        for path in ("/metrics", "/-/healthy"):
            client = await visitors.connect()
            client.send(f"{request_head.replace('/metrics', path)}Host: x\r\n\r\n".encode())
            heads.append(answered(await client.reader.readuntil(b"\r\n\r\n")))
    (own_status, own), (other_status, other) = heads
    assert own_status == other_status == status
    assert own.get("connection") == other.get("connection") == connection
    assert set(other) - {"content-encoding"} <= set(own)
    assert own["server"] == other["server"]
    assert abs(parsedate_to_datetime(own["date"]) - parsedate_to_datetime(other["date"])).seconds < 60
    assert own["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


async def whole(client: Client) -> bytes:
    """The next answer's body, as long as its head says."""
    _, headers = answered(await client.reader.readuntil(b"\r\n\r\n"))
    return await client.reader.readexactly(int(headers["content-length"]))


async def test_head_is_answered_without_a_body() -> None:
    """The next answer on the connection follows the head at once."""
    async with crowd(Script()) as visitors, asyncio.timeout(100):
        client = await visitors.connect(HEAD_OF + b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
        _, headers = answered(await client.reader.readuntil(b"\r\n\r\n"))
        assert int(headers["content-length"]) > 0
        assert await whole(client) == b"healthy\n"


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 3 * PART + 7])
async def test_a_body_of_any_size_arrives_whole(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one part or in several, to several clients, twice on one connection."""
    body = bytes(number % 251 for number in range(size))
    async with crowd(Script()) as visitors, asyncio.timeout(100):
        monkeypatch.setattr(Scraper, "kept", lambda *_, **__: body)
        for _ in range(2):
            client = await visitors.connect(2 * b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            assert await whole(client) == body
            assert await whole(client) == body


def test_one_buffer_serves_every_connection_of_a_kind() -> None:
    """What is sent first is put together once; another kind of connection has its own head."""
    message = Message(b"body", {"A": "b"})
    first = message.beginning(HttpVersion11, keep_alive=True)
    assert message.beginning(HttpVersion11, keep_alive=True) is first
    assert message.beginning(HttpVersion10, keep_alive=True) != first
    assert answered(first.removesuffix(b"body"))[1]["a"] == "b"
