import hashlib
import hmac
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.probe import ProbeError
from exporter.probes.tor.cookie import authenticate, parse

RECORDED = (Path(__file__).parents[2] / "captures/tor/protocolinfo.txt").read_bytes().decode()
COOKIE = bytes(range(32))
SALT = bytes(32)


class Port:
    """A control port's part in logging in, as control-spec.txt has it.

    knows: the cookie that it holds, None where it refuses the challenge. received: the commands.
    """

    def __init__(self, auth: str, knows: bytes | None = COOKIE) -> None:
        self.auth = auth
        self.knows = knows
        self.received: list[str] = []
        self.nonce = b""

    async def __call__(self, command: str) -> str:
        """Answers a command."""
        self.received.append(command)
        word, _, rest = command.partition(" ")
        if word == "PROTOCOLINFO":
            return f'250-PROTOCOLINFO 1\r\n250-AUTH {self.auth}\r\n250-VERSION Tor="0.4.9.11"\r\n250 OK\r\n'
        if word == "AUTHCHALLENGE" and self.knows is not None:
            self.nonce = bytes.fromhex(rest.removeprefix("SAFECOOKIE "))
            proof = self.proof("server-to-controller")
            return f"250 AUTHCHALLENGE SERVERHASH={proof} SERVERNONCE={SALT.hex()}\r\n"
        return "250 OK\r\n"

    def proof(self, direction: str) -> str:
        """That one side knows the cookie."""
        key = f"Tor safe cookie authentication {direction} hash".encode()
        return hmac.new(key, (self.knows or b"") + self.nonce + SALT, hashlib.sha256).hexdigest().upper()


@pytest.fixture
def cookie(tmp_path: Path) -> Path:
    file = tmp_path / "cookie"
    file.write_bytes(COOKIE)
    return file


async def failure(port: Port) -> ProbeError:
    with pytest.raises(ProbeError) as caught:
        await authenticate(port)
    assert caught.value.hint
    assert COOKIE.hex() not in " ".join(port.received).lower()
    return caught.value


async def test_both_sides_prove_that_they_know_the_cookie(cookie: Path) -> None:
    """The proof is the one that Tor expects, and the cookie itself never crosses the wire."""
    port = Port(f'METHODS=COOKIE,SAFECOOKIE COOKIEFILE="{cookie}"')
    await authenticate(port)
    assert port.received[-1].upper() == f"AUTHENTICATE {port.proof('controller-to-server')}"
    assert COOKIE.hex() not in " ".join(port.received).lower()


async def test_an_open_port_needs_no_cookie() -> None:
    """Where Tor asks for nothing, nothing is read or proved."""
    port = Port("METHODS=NULL")
    await authenticate(port)
    assert port.received == ["PROTOCOLINFO 1", "AUTHENTICATE"]


@pytest.mark.parametrize("knows", [bytes(32), None])
async def test_a_port_that_does_not_know_the_cookie(cookie: Path, knows: bytes | None) -> None:
    """What can't prove that it is this Tor learns nothing from us."""
    port = Port(f'METHODS=SAFECOOKIE COOKIEFILE="{cookie}"', knows)
    assert "does not know the cookie" in (await failure(port)).reason
    assert not [it for it in port.received if it.startswith("AUTHENTICATE")]


@pytest.mark.parametrize(
    "auth",
    ["METHODS=HASHEDPASSWORD", "METHODS=SAFECOOKIE", 'METHODS=SAFECOOKIE COOKIEFILE="x"', "", "\xff\x00"],
)
async def test_no_cookie_to_be_had(auth: str) -> None:
    """A port that wants a password, or names no file, gets a hint how to offer a cookie."""
    assert "CookieAuthentication 1" in (await failure(Port(auth))).hint


async def test_password_beside_which_a_cookie_may_be() -> None:
    """Where Tor takes a password alone, the hint names the setting that makes it so."""
    assert "HashedControlPassword" in (await failure(Port("METHODS=HASHEDPASSWORD"))).hint
    assert "HashedControlPassword" not in (await failure(Port("METHODS=COOKIE"))).hint


async def test_what_can_be_no_cookie_is_not_opened(tmp_path: Path) -> None:
    """A FIFO, a device, a directory, a larger file and an endless link are refused at once."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "larger").write_bytes(bytes(33))
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path in (
        tmp_path / "fifo",
        "/dev/zero",
        tmp_path,
        tmp_path / "larger",
        tmp_path / "loop",
        "/no/where",
    ):
        port = Port(f'METHODS=SAFECOOKIE COOKIEFILE="{path}"')
        assert str(path) in (await failure(port)).reason
        assert port.received == ["PROTOCOLINFO 1"]


@pytest.mark.parametrize("path", [r"/\000", "/" + "x" * 3000, r"/\377\012\""])
async def test_no_path_does_harm(path: str) -> None:
    """A path of any bytes ends as a short reason that can be printed."""
    reason = (await failure(Port(f'METHODS=SAFECOOKIE COOKIEFILE="{path}"'))).reason
    assert reason.isprintable()
    assert len(reason) < 300


def test_the_recorded_offer() -> None:
    """What Tor 0.4.9 offers is read."""
    assert parse(RECORDED) == (["COOKIE", "SAFECOOKIE"], "/tmp/tor/cookie")


def test_a_path_comes_out_of_its_quotes() -> None:
    """Tor escapes quotes, backslashes and bytes beyond ASCII."""
    reply = r'250-AUTH METHODS=SAFECOOKIE COOKIEFILE="/a\"b\\c\303\274"'
    assert parse(reply) == (["SAFECOOKIE"], '/a"b\\cü')


@settings(max_examples=200)
@given(st.text(st.characters(max_codepoint=255), max_size=60))
def test_any_offer_is_read(text: str) -> None:
    """Whatever the port offers, methods and a path come out, or none."""
    methods, path = parse(f'250-AUTH METHODS=COOKIE COOKIEFILE="{text}"\r\n')
    assert methods == ["COOKIE"]
    os.fsencode(path)
