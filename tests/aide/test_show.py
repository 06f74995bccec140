"""The review: everything that a person needs before accepting, and nothing that plays with the terminal."""

import json
from pathlib import Path

import pytest

from exporter.aide.accept import accept
from exporter.aide.lock import exclusive
from exporter.aide.show import show
from exporter.aide.summary import Finding, Outcome, Summary, save
from tests.aide.store import CAPTURES, Store, killed_in, make, summary


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A box on which a check has succeeded."""
    return make(tmp_path)


def shown(store: Store, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit status, and what was printed."""
    code = show(store.paths, store.paths.private / "none")
    return code, capsys.readouterr().out


def test_findings(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """Each finding has its line, each attribute before and after, and the command ends the review."""
    found = Finding("changed", "/b", "f", {"size": ("1", "2"), "sha256": ("x", None)})
    save(
        store.paths.summary,
        summary(store, changed=1, findings=(Finding("added", "/c", "f"), found), warnings=("w",)),
    )
    code, text = shown(store, capsys)
    lines = text.splitlines()
    assert code == 1
    assert lines[0].startswith("AIDE check of 1970-01-01")
    assert lines[0].endswith(", 4 s")
    assert lines[1:] == [
        "1 added, 0 removed, 1 changed; 3 entries",
        "added    f /c",
        "changed  f /b",
        "           size: 1 -> 2",
        "           sha256: x",
        "warning: w",
        "To accept exactly this:",
        f"  sudo grid-exporter aide accept {store.id}",
    ]


def test_how_to_accept_over_http(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """Where root has a key for proofs, the command that accepts over HTTP is printed, too."""
    show(store.paths, store.key_file)
    *_, heading, command = capsys.readouterr().out.splitlines()
    assert heading == "Or over HTTP, without root, with the token and the key in $TOKEN and $KEY:"
    assert command == (
        '  curl -H "Authorization: Bearer $TOKEN" --json '
        f'\'{{"id": "{store.id}", "proof": "\'$(openssl dgst -sha256 -hmac "$KEY" -r'
        f" {store.paths.summary} | cut -c1-64)'\"}}' http://127.0.0.1:10058/-/aide/accept"
    )


def test_clean(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """After a clean check there is nothing to accept."""
    save(store.paths.summary, summary(store, added=0, findings=()))
    code, text = shown(store, capsys)
    assert code == 0
    assert "accept" not in text


def test_accepted(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """What is accepted is not offered again."""
    accept(store.id, store.paths)
    code, text = shown(store, capsys)
    assert code == 1
    assert "Accepted on " in text
    assert "sudo" not in text.splitlines()[-1]


def test_failed(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """A failed check shows why and what helps, and nothing to accept."""
    save(store.paths.summary, Summary(success=False, started=1, ended=2, reason="no", hint="do"))
    code, text = shown(store, capsys)
    assert code == 2
    assert text.splitlines()[1:] == ["FAILED: no", "  to fix it: do"]


def test_killed(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """A killed check shows as failed."""
    killed_in("check", store.paths)
    code, text = shown(store, capsys)
    assert code == 2
    assert "FAILED: the check was killed" in text


def test_none(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a check, and with a damaged summary, there is nothing to show and a way to get something."""
    store.paths.summary.unlink()
    assert show(store.paths) == 2
    assert "no check has run yet" in capsys.readouterr().err
    store.paths.summary.write_bytes(b"{")
    assert show(store.paths) == 2
    assert "summary.json is damaged" in capsys.readouterr().err


def test_what_happened_since(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """A check under way and a refused accept are shown."""
    save(store.paths.outcome, Outcome(success=False, timestamp=1, reason="stale"))
    with exclusive(store.paths, "check"):
        _, text = shown(store, capsys)
    assert "(another check is under way)" in text
    assert text.splitlines()[-1].endswith("failed: stale")


def test_more_than_the_summary_lists(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """Root sees every finding, from AIDE's own report; without it the rest is counted."""
    save(store.paths.summary, summary(store, added=11, removed=4, exit_code=3, unlisted=14))
    assert "... and 14 more" in shown(store, capsys)[1]
    store.paths.report(store.id).write_bytes((CAPTURES / "names.json").read_bytes())
    _, text = shown(store, capsys)
    assert sum(line.startswith(("added ", "removed ")) for line in text.splitlines()) == 15
    assert "more" not in text


def test_a_hostile_summary(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """No control character reaches the terminal, whatever the summary holds."""
    evil = "\x1b]0;x\x07\x9b31m\r\n\u202e"
    left = json.loads(store.paths.summary.read_bytes())
    left |= {
        "warnings": [evil],
        "findings": [{"change": "added", "path": evil, "kind": evil, "attributes": {evil: [evil, None]}}],
    }
    store.paths.summary.write_text(json.dumps(left))
    _, text = shown(store, capsys)
    assert all(line.isprintable() for line in text.split("\n"))
