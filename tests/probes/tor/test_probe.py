from pathlib import Path
from typing import Any

import pytest

from exporter.probe import Duration, Host, Note, ProbeError
from exporter.probes.tor.probe import CONTROL_SHARE, KIND, REQUEST_SHARE, Settings, build, discover


def test_the_defaults() -> None:
    """Tor's usual port is asked every two minutes at most, and no scrape waits for that."""
    settings = Settings()
    assert [float(it) for it in (settings.ttl, settings.wait, settings.timeout)] == [120, 0, 30]
    assert (settings.socks, settings.control) == ("127.0.0.1:9050", None)
    assert [probe.name for probe in KIND.build(settings, Host(state=None))] == ["tor"]


@pytest.mark.parametrize(
    ("invalid", "reason"),
    [
        ({"socks": "9050"}, "socks: expected host:port or unix:/path, got '9050'"),
        ({"control": ""}, "control: expected host:port or unix:/path, got ''"),
        ({"control": "localhost:0"}, "control: expected host:port or unix:/path, got 'localhost:0'"),
        ({"ttl": Duration(0.5)}, "ttl must be at least 1s, got 0.5s"),
    ],
)
def test_invalid_settings(invalid: dict[str, Any], reason: str) -> None:
    """An invalid setting is refused, and its reason names it."""
    with pytest.raises(ValueError, match=reason):
        Settings(**invalid)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "check.torproject.org",
        "file:///etc/passwd",
        "ftp://check.test/",
        "https://",
        "https://:443/",
        "https://check.test:99999/",
        "https://check.test:0/",
        "https://[::1/",
        "https://check.test/a b",
        "https://check.test/\n",
        "https://chéck.test/",
        "http://2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid.onion/",
    ],
)
def test_a_url_that_no_exit_can_fetch(url: str) -> None:
    """Only http and https pages beyond an exit are asked."""
    with pytest.raises(ValueError, match=r"^url: expected an http:// or https:// page outside \.onion"):
        Settings(url=url)


def test_curl_gives_up_first() -> None:
    """Curl's own timeout, which is a fact, comes before the probe's, whatever that is."""
    assert CONTROL_SHARE + REQUEST_SHARE <= 0.9


async def test_curl_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without curl nothing is known of Tor, and the reason has what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    [probe] = build(Settings(), Host(state=None))
    with pytest.raises(ProbeError, match="curl is not installed") as caught:
        await probe.run()
    assert not caught.value.families


@pytest.mark.parametrize(
    ("stderr", "text", "hint"),
    [
        ("(97) cannot complete SOCKS5 connection to x. (6)", "Tor runs but could not connect", "Tor's log"),
        ("(97) cannot complete SOCKS5 connection to x. (2)", "not allowed by its rules", "SocksPolicy"),
        ("(97) cannot complete SOCKS5 connection to x. (99)", "SOCKS reply 99", "Tor's log"),
        ("(97) Unable to receive initial SOCKS5 response.", "Tor is down", "systemctl status tor"),
        ("(7) Failed to connect to 127.0.0.1 port 9050", "Tor is down", "systemctl status tor"),
    ],
)
async def test_hint_follows_the_socks_reply(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stderr: str, text: str, hint: str
) -> None:
    """What a reply has proved (Tor runs, and this is its port) is not doubted."""
    code = stderr.partition(")")[0][1:]
    curl = tmp_path / "curl"
    curl.write_text(f'#!/bin/sh\nprintf "\\n000 0.9"; echo "curl: {stderr}" >&2; exit {code}\n')
    curl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    [probe] = build(Settings(), Host(state=None))
    [note] = (await probe.run()).notes
    assert text in note.text
    assert hint in note.hint


@pytest.mark.parametrize("trace", ["run/tor/", "usr/bin/tor"])
async def test_tor_is_offered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trace: str) -> None:
    """Where Tor runs or is installed it is not asked but named, with the lines that switch it on."""
    monkeypatch.setenv("PATH", "/usr/sbin:/usr/bin")
    place = tmp_path / trace
    place.parent.mkdir(parents=True)
    if trace.endswith("/"):
        place.mkdir()
    else:
        place.touch(0o755)
    offer = await discover(Host(root=tmp_path))
    assert "not asked" in offer.text
    assert offer.hint == 'probes:\n  tor:\n    socks: "127.0.0.1:9050"'


async def test_no_tor_here(tmp_path: Path) -> None:
    """Where there is no trace of Tor that is all."""
    assert await discover(Host(root=tmp_path)) == Note("no Tor here")


def test_a_password_in_the_url_is_refused_and_not_repeated() -> None:
    """What is configured shows in reasons and errors; a secret must not stand there."""
    with pytest.raises(ValueError, match="without a password in it") as caught:
        Settings(socks="127.0.0.1:9050", url="https://user:hunter2@check.example/ip")
    assert "hunter2" not in str(caught.value)
