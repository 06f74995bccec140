import asyncio

import pytest

from exporter.web import server
from exporter.web.host_check import host_name, is_local
from tests.crowd import crowd
from tests.scripted import Script


@pytest.mark.parametrize(
    ("header", "name"),
    [("localhost:10058", "localhost"), ("127.0.0.1:10058", "127.0.0.1"), ("[::1]:10058", "::1"),
     ("[::1]", "::1"),
     ("Evil.Example.", "evil.example"), ("", ""), (":80", ""), ("a:b:c", "a"), ("[::1", "[")],
)  # fmt: skip
def test_the_name_in_a_host_header(header: str, name: str) -> None:
    """Its port, a name's last dot and its case don't count."""
    assert host_name(header) == name


@pytest.mark.parametrize(
    ("host", "local"),
    [("localhost", True), ("127.0.0.1", True), ("::1", True), ("192.168.1.2", True), ("grid.localhost", True),
     ("grid", True), ("", True), ("my.host.test", True), ("evil.example", False),
     ("my.host.test.evil.example", False),
     ("localhost.evil.example", False),
     ("127.0.0.1.evil.example", False), ("evillocalhost.example", False)],
)  # fmt: skip
def test_no_page_has_a_local_host(host: str, local: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    """A page has a name with a dot that is not this machine's."""
    monkeypatch.setattr("socket.gethostname", lambda: "My.Host.test")
    assert is_local(host) is local


@pytest.mark.parametrize("path", ["/metrics", "/", "/-/healthy", "/nothing", "/-/aide/report"])
async def test_on_loopback_another_host_is_refused(path: str) -> None:
    """A page whose name was made to resolve to 127.0.0.1 reads nothing."""
    async with crowd(Script()) as visitors, asyncio.timeout(100):
        client = await visitors.connect(f"GET {path} HTTP/1.1\r\nHost: evil.example:10058\r\n\r\n".encode())
        assert await client.status() == 403


async def test_elsewhere_any_host_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of machines on a network are not known here."""
    monkeypatch.setattr(server, "is_loopback", lambda _: False)
    async with crowd(Script()) as visitors, asyncio.timeout(100):
        client = await visitors.connect(b"GET /metrics HTTP/1.1\r\nHost: grid.example\r\n\r\n")
        assert await client.status() == 200
