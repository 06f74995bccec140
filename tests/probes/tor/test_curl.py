import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.probes.tor.curl import Answer, curl, parse
from exporter.system.subprocesses import Output

# Recorded from curl 7.88.1 through a private network of Tor 0.4.9.11.
RECORDED = json.loads((Path(__file__).parents[2] / "captures/tor/curl.json").read_text())


def output(code: int, stdout: bytes, stderr: bytes = b"") -> Output:
    return Output(("curl",), code, stdout, stderr, 0.1)


def recorded(name: str) -> Answer:
    it = RECORDED[name]
    return parse(output(it["code"], it["stdout"].encode(), it["stderr"].encode()))


def test_an_answer_through_tor() -> None:
    """The page's word, the exit's address and curl's own time are what is found."""
    assert recorded("up") == Answer(up=True, seconds=0.081943, is_tor=True, address="127.0.0.10")


def test_an_answer_past_tor() -> None:
    """A request that came by another way is no failure."""
    assert recorded("not tor") == Answer(up=True, seconds=0.016512, is_tor=False, address="127.0.0.10")


@pytest.mark.parametrize("name", ["Tor stopped", "exits gone", "no answer"])
def test_tor_is_down(name: str) -> None:
    """Where Tor carries nothing it is down, and curl's message is the reason."""
    answer = recorded(name)
    reply = 1 if name == "exits gone" else None
    assert answer == Answer(up=False, error=RECORDED[name]["stderr"].strip(), reply=reply)


@pytest.mark.parametrize("reply", [1, 2, 3, 6, 7, 8])
@pytest.mark.parametrize("words", ["Can't complete", "cannot complete"])
def test_tor_refuses_the_request(reply: int, words: str) -> None:
    """A SOCKS reply other than the exit's is kept: Tor runs and did not carry the request."""
    stderr = f"curl: (97) {words} SOCKS5 connection to check.torproject.org. ({reply})"
    answer = parse(output(97, b"\n000 0.9", stderr.encode()))
    assert (answer.up, answer.reply) == (False, reply)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("no JSON", "no JSON"),
        ("moved", "HTTP status 302"),
        ("server error", "HTTP status 500"),
        ("too large", "curl: (63) Maximum file size exceeded"),
        ("closed", "curl: (52) Empty reply from server"),
        ("no TLS", "curl: (35) OpenSSL/3.0.19: error:0A00010B:SSL routines::wrong version number"),
        ("name unknown to the exit", "curl: (97) Can't complete SOCKS5 connection to page.nowhere. (4)"),
    ],
)
def test_the_page_fails_not_tor(name: str, error: str) -> None:
    """A reply of an exit or the page proves that Tor works, and nothing is claimed beyond that."""
    answer = recorded(name)
    assert (answer.up, answer.is_tor, answer.address, answer.error) == (True, None, None, error)


@pytest.mark.parametrize(
    ("code", "stdout", "stderr"),
    [
        (1, b"\n000 0.03", b"curl: (1) Received HTTP/0.9 when not allowed"),
        (5, b"\n000 0.03", b"curl: (5) Could not resolve proxy: tor"),
        (77, b"\n000 0.03", b"curl: (77) error setting certificate verify locations"),
        (-9, b'{"IsTor":true}\n200 0.1', b""),
        (0, b'{"IsTor":true}', b""),
        (0, b"", b""),
    ],
)
def test_curl_can_not_tell(code: int, stdout: bytes, stderr: bytes) -> None:
    """Where curl failed by itself, was killed or is no curl at all, Tor's state is unknown."""
    assert parse(output(code, stdout, stderr)).up is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"[" * 100_000,
        b'{"IsTor":"true"}',
        b'{"IsTor":1}',
        b'{"IsTor":null,"IP":"1.2.3.4"}',
        b'{"IP":"1.2.3.4"}',
        b'{"IsTor":true',
        b"\xff\x00\xfe",
        b"9" * 5000,
        b'{"IsTor":true,"IP":"1.2.3.4"}\n200 0.1\n',
    ],
)
def test_a_page_that_says_nothing(body: bytes) -> None:
    """A body that has no plain true or false is never taken for either."""
    answer = parse(output(0, body + b"\n200 0.5"))
    assert (answer.up, answer.seconds, answer.is_tor, answer.address) == (True, 0.5, None, None)


@pytest.mark.parametrize(
    ("ip", "address"),
    [
        ("185.220.101.7", "185.220.101.7"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("fe80::1%<script>", None),
        ("256.1.1.1", None),
        ("1.2.3.4\n", None),
        ("", None),
        (16909060, None),
        (None, None),
        (["1.2.3.4"], None),
    ],
)
def test_only_an_address_is_one(ip: object, address: str | None) -> None:
    """An address comes out in its one usual form; what is none is left out, and the rest stands."""
    body = json.dumps({"IsTor": True, "IP": ip}).encode()
    answer = parse(output(0, body + b"\n200 0.5"))
    assert (answer.is_tor, answer.address) == (True, address)


def test_something_else_in_curls_place_says_so() -> None:
    """What ended well and printed no status is not explained by its exit status."""
    assert parse(output(0, b"hello\n")) == Answer(up=None, error="it printed no HTTP status")


def test_the_body_can_not_pose_as_curl() -> None:
    """The status is the one on curl's own last line, whatever the page prints before it."""
    answer = parse(output(0, b'{"IsTor":true,"IP":"1.2.3.4"}\n200 0.1\n503 0.2'))
    assert answer == Answer(up=True, seconds=0.2, error="HTTP status 503")


@settings(max_examples=200)
@given(st.integers(-64, 99), st.binary(max_size=200), st.binary(max_size=100))
def test_any_output_is_read(code: int, stdout: bytes, stderr: bytes) -> None:
    """Whatever a tool named curl prints, there is an answer or an error."""
    for text in (stdout, stdout + b"\n200 0.1"):
        answer = parse(output(code, text, stderr))
        assert answer.is_tor is not None or answer.error


@settings(max_examples=100)
@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_any_json_is_read(value: object) -> None:
    """Whatever JSON the page holds, is_tor and the address are what they should be or absent."""
    for page in (value, {"IsTor": value, "IP": value}):
        answer = parse(output(0, json.dumps(page).encode() + b"\n200 0.1"))
        assert answer.is_tor is (value if isinstance(page, dict) and isinstance(value, bool) else None)


def test_the_command() -> None:
    """Curl reads no configuration, speaks nothing but HTTP, follows nowhere and resolves nothing itself."""
    argv = curl("127.0.0.1:9050", "https://check.torproject.org/api/ip", 24)
    assert argv[:2] == ["curl", "-q"]
    assert argv[-3:] == ["--proxy", "socks5h://127.0.0.1:9050", "https://check.torproject.org/api/ip"]
    assert argv[argv.index("--proto") + 1] == "=http,https"
    assert argv[argv.index("--max-time") + 1] == "24.000"
    assert not {"-L", "--location"} & set(argv)


def test_a_socket_for_socks() -> None:
    """Tor's SocksPort may be a unix socket, with any path."""
    assert "socks5h://localhost/run/tor/so%23cks" in curl("unix:/run/tor/so#cks", "http://x/", 1)
