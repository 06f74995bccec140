import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.probe import ProbeError
from exporter.probes.tor.control import Facts, ask, endpoint, parse

CAPTURES = Path(__file__).parents[2] / "captures/tor"
GETINFO = (CAPTURES / "getinfo.txt").read_bytes()
OPEN = b"250-PROTOCOLINFO 1\r\n250-AUTH METHODS=NULL\r\n250 OK\r\n"


@contextlib.asynccontextmanager
async def control_port(*replies: bytes, stay: bool = False) -> AsyncIterator[str]:
    """A port that gives these replies, one a command, and closes; ``stay``: falls silent instead."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(ConnectionError):
            for reply in replies:
                await reader.readline()
                writer.write(reply)
                await writer.drain()
            if stay:
                await reader.read()

    server = await asyncio.start_server(talk, "127.0.0.1")
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def failure(*replies: bytes, stay: bool = False) -> ProbeError:
    async with control_port(*replies, stay=stay) as where:
        with pytest.raises(ProbeError) as caught:
            await ask(where, 0.5 if stay else 20)
    assert caught.value.hint
    assert caught.value.reason.isprintable()
    return caught.value


async def test_a_conversation() -> None:
    """An open port is asked, and its values are found."""
    async with control_port(OPEN, b"250 OK\r\n", GETINFO) as where:
        assert await ask(where, 20) == parse(GETINFO.decode())


@pytest.mark.parametrize(
    ("capture", "facts"),
    [
        ("getinfo", Facts("0.4.9.11", 1.0, circuit=True, read=205042, written=70186)),
        ("getinfo-exits-gone", Facts("0.4.9.11", 1.0, circuit=True, read=212939, written=73898)),
        ("getinfo-disabled", Facts("0.4.9.11", 1.0, circuit=False, read=213231, written=73898)),
    ],
)
def test_recorded(capture: str, facts: Facts) -> None:
    """Tor 0.4.9's own report is read, wrong as it may be: without an exit it reports a circuit."""
    assert parse((CAPTURES / f"{capture}.txt").read_bytes().decode()) == facts


@pytest.mark.parametrize(
    ("line", "facts"),
    [
        ("250-version=0.4.7.13 (git-7c1601fb6edd780f)", Facts("0.4.7.13")),
        (
            '250-status/bootstrap-phase=WARN BOOTSTRAP PROGRESS=5 TAG=conn SUMMARY="x PROGRESS=99"',
            Facts(bootstrap=0.05),
        ),
        ("250-status/bootstrap-phase=NOTICE BOOTSTRAP PROGRESS=101", Facts()),
        ("250-status/circuit-established=2", Facts()),
        ("250-traffic/read=-1", Facts()),
        ("250-traffic/read=1e400", Facts()),
        ("250-traffic/read=", Facts()),
    ],
)
def test_a_line(line: str, facts: Facts) -> None:
    """What is invalid is left out, and takes nothing with it."""
    assert parse(f"{line}\r\n250 OK\r\n") == facts


@settings(max_examples=200)
@given(st.text(st.characters(max_codepoint=255)), st.integers(0, 400))
def test_any_reply_is_read(noise: str, at: int) -> None:
    """Whatever the port sends, facts come out that are in their range or absent."""
    reply = GETINFO.decode()
    facts = parse(reply[:at] + noise + reply[at:])
    assert facts.bootstrap is None or 0 <= facts.bootstrap <= 1
    assert facts.read is None or facts.read >= 0


@pytest.mark.parametrize(
    ("replies", "reason"),
    [
        ((b"514 Authentication required.\r\n",), "answered PROTOCOLINFO with '514 Authentication required.'"),
        ((OPEN, b"515 no\r\n"), "answered AUTHENTICATE with '515 no'"),
        ((OPEN, b"250 OK\r\n", b'552 Unrecognized key "x"\r\n'), "answered GETINFO with"),
        ((b"SSH-2.0-OpenSSH_9.2\r\n",), "answered PROTOCOLINFO with 'SSH-2.0"),
        ((b"\x00\xff\x1b[31m\r\n",), "answered PROTOCOLINFO with"),
        ((b"250+x=\r\n.\r\n250 OK\r\n",), "answered PROTOCOLINFO with '250+x='"),
        ((b"250-x\r\n" * 100_000,), "answered PROTOCOLINFO with '250-x'"),
        ((b"x" * 1_000_000,), "does not speak the control protocol"),
        ((b"250-half a li",), "it closed the connection"),
        ((), ""),
    ],
)
async def test_what_is_no_control_port(replies: tuple[bytes, ...], reason: str) -> None:
    """A no, another protocol, no end of a line or of lines, and a broken connection each have a reason."""
    assert reason in (await failure(*replies)).reason


async def test_a_port_that_says_nothing() -> None:
    """Who never answers is waited for no longer than asked."""
    assert "did not answer in 0.5 s" in (await failure(stay=True)).reason


async def test_nothing_listens() -> None:
    """Where nobody listens the reason is plain."""
    async with control_port() as where:
        pass
    with pytest.raises(ProbeError, match=f"{where}: Connection refused"):
        await ask(where, 20)


async def test_a_socket(tmp_path: Path) -> None:
    """The port may be a unix socket; one that is not there is named."""
    with pytest.raises(ProbeError, match="No such file"):
        await ask(f"unix:{tmp_path}/control", 20)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("127.0.0.1:9051", ("127.0.0.1", 9051)),
        ("[::1]:9051", ("::1", 9051)),
        ("tor-client.lan:1", ("tor-client.lan", 1)),
        ("unix:/run/tor/control", Path("/run/tor/control")),
    ],
)
def test_an_endpoint(text: str, place: tuple[str, int] | Path) -> None:
    """A host and a port, or a socket's path."""
    assert endpoint(text) == place


@pytest.mark.parametrize(
    "text",
    [
        "",
        "9051",
        "localhost",
        ":9051",
        "localhost:",
        "localhost:0",
        "localhost:65536",
        "localhost:\u0669\u0660\u0665\u0661",  # 9051 in Arabic digits
        "localhost:9051\n",
        "local host:9051",
        "user@localhost:9051",
        "localhost:9051/path",
        "a..b:9051",
        f"{'x' * 64}:9051",
        "::1:9051",
        "unix:run/tor/control",
        "unix:/",
        "unix:/run/tor\n/control",
    ],
)
def test_no_endpoint(text: str) -> None:
    """Everything else is refused, in words that show what it should be."""
    with pytest.raises(ValueError, match=r"^expected host:port or unix:/path, got "):
        endpoint(text)
