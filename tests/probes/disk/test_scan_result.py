import errno

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.probe import Note, ProbeError
from exporter.probes.disk.scan_result import ScanResult, failure, notes, parse

FILE_SYSTEM = b'"file_systems":[{"mount":1,"size":3,"free":2,"avail":1}]'


def test_reads_what_a_scan_prints() -> None:
    """Sizes, names of any bytes and what could not be read come through typed."""
    scan = parse(
        b"{"
        + FILE_SYSTEM
        + b',"size":7,"models":{"\\udcff":7},"errors":1,"unread":[["/a","Why"]],"user":"me"}'
    )
    assert (scan.size, scan.models) == (7, {"\udcff": 7})
    assert scan.unread == (("/a", "Why"),)
    assert scan.file_systems[0].avail == 1


@pytest.mark.parametrize(
    "stdout",
    [
        b"",
        b"\x00\xff",
        b"{}",
        b"[]",
        b"{" + FILE_SYSTEM,
        b"{" + FILE_SYSTEM + b',"size":"7"}',
        b"{" + FILE_SYSTEM + b',"models":{"a":1e400}}',
        b"[" * 100_000,
    ],
)
def test_refuses_anything_else(stdout: bytes) -> None:
    """What a scan never prints is an error, not a value."""
    with pytest.raises(ProbeError, match="output is invalid"):
        parse(stdout)


@settings(max_examples=100)
@given(stdout=st.binary())
def test_raises_probe_error_for_any_bytes(stdout: bytes) -> None:
    """Any bytes are either a scan's output or a ProbeError."""
    with pytest.raises(ProbeError):
        parse(stdout)


@pytest.mark.parametrize(
    ("code", "error", "reason"),
    [
        (errno.ENOENT, "No such file or directory", "/ai/models does not exist"),
        (errno.ENOTDIR, "Not a directory", "/ai/models is not a directory"),
        (errno.EACCES, "Permission denied", "/ai/models may not be read by grid-exporter"),
        (errno.EIO, "Input/output error", "/ai/models can't be read: Input/output error"),
        (errno.ENOTCONN, "Not connected", "/ai/models can't be read: Not connected"),
    ],
)
def test_every_failure_has_a_reason_and_a_hint(code: int, error: str, reason: str) -> None:
    """A directory that can't be scanned is one line, with how to fix it."""
    scan = ScanResult(file_systems=(), error=error, errno=code, user="grid-exporter")
    message, hint = failure("/ai/models", scan)
    assert message == reason
    assert hint


def test_opens_the_whole_way_to_a_closed_directory() -> None:
    """The commands of the hint let the user through each closed folder and read what is and will be there."""
    scan = ScanResult(
        file_systems=(),
        error="Permission denied",
        errno=errno.EACCES,
        user="grid-exporter",
        closed=("/home/x", "/home/x/.cache"),
    )
    _, hint = failure("/home/x/.cache/huggingface", scan)
    assert hint == (
        "sudo setfacl -m u:grid-exporter:x /home/x /home/x/.cache && "
        "sudo setfacl -R -m u:grid-exporter:rX,d:u:grid-exporter:rX /home/x/.cache/huggingface"
    )


def test_quotes_paths_for_the_shell() -> None:
    """A path with blanks or worse in it is one word of the command."""
    scan = ScanResult(file_systems=(), errno=errno.EPERM, user="me", error="x", closed=("/a b",))
    _, hint = failure("/a b/$(c)", scan)
    assert "x '/a b' &&" in hint
    assert hint.endswith("'/a b/$(c)'")


def test_a_complete_scan_has_no_warning() -> None:
    """A scan that read everything leaves no note."""
    assert notes("/ai/models", ScanResult(file_systems=(), size=1)) == ()


def test_names_the_first_parts_that_could_not_be_read() -> None:
    """The note says how many parts are missing, names three, and says what that means and what helps."""
    unread = tuple((f"/ai/models/{name}", "Permission denied") for name in "abcd")
    (note,) = notes("/ai/models", ScanResult(file_systems=(), errors=25, unread=unread, user="me"))
    assert note == Note(
        "25 part(s) of /ai/models can't be read: /ai/models/a (Permission denied), "
        "/ai/models/b (Permission denied), /ai/models/c (Permission denied), ...; so its size is not known",
        "sudo setfacl -R -m u:me:rX,d:u:me:rX /ai/models",
    )


def test_offers_no_permission_where_none_is_missing() -> None:
    """A damaged manifest is a warning without the command that would not help, and the size stays known."""
    unread = (("/ai/models/manifests/x", "Not a manifest: it is damaged"),)
    (note,) = notes("/ai/models", ScanResult(file_systems=(), size=5, errors=1, unread=unread))
    assert note.text.endswith("/ai/models/manifests/x (Not a manifest: it is damaged)")
    assert note.hint == ""


def test_names_links_that_lead_to_no_model() -> None:
    """A link in a model's place that leads nowhere is a warning with its reason."""
    (note,) = notes("/m", ScanResult(file_systems=(), size=1, skipped=(("/m/a.gguf", "it leads nowhere"),)))
    assert note.text == "link(s) without a model: /m/a.gguf (it leads nowhere)"
    assert note.hint
