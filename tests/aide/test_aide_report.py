"""AIDE's report and its warnings, as a real AIDE wrote them and as nobody should."""

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.aide.aide_report import judge, parse, visible
from exporter.aide.summary import Finding
from tests.aide.store import CAPTURES

VERSIONS = ("", "-0.19")  # of AIDE, as the captures' names have them
TREE = "/srv/aide-capture/tree"
GONE = ": No such file or directory"
CHANGED = "' has been changed (changed attributes: s, hash could not be calculated)"
UNHASHED = "(hashsums could not be calculated)"


def report(name: str) -> bytes:
    """A captured report."""
    return (CAPTURES / f"{name}.json").read_bytes()


def stderr(name: str) -> str:
    """AIDE's standard error of the same run."""
    return (CAPTURES / f"{name}.stderr").read_text("utf-8", "surrogateescape")


@pytest.mark.parametrize("version", VERSIONS)
def test_clean(version: str) -> None:
    """A report without a difference counts the entries and finds nothing."""
    found = parse(report(f"clean{version}"), 0)
    assert (found.total, list(found.findings)) == (5, [])


@pytest.mark.parametrize("version", VERSIONS)
def test_changed(version: str) -> None:
    """Each difference comes with its kind of file and, where it changed, what differs before and after."""
    found = parse(report(f"changed{version}"), 7)
    added, removed, changed = found.findings
    assert (added, removed) == (
        Finding("added", f"{TREE}/new", "f"),
        Finding("removed", f"{TREE}/sub/b", "f"),
    )
    assert (changed.change, changed.path, changed.kind) == ("changed", f"{TREE}/a", "f")
    assert changed.attributes["size"] == ("1", "5")
    assert changed.attributes["perm"] == ("-rw-r--r--", "-rw-------")
    assert changed.attributes["acl"][1] == "A: user::rw-, A: group::---, A: other::---"
    assert [found.count(change) for change in ("added", "removed", "changed")] == [1, 1, 1]


@pytest.mark.parametrize("version", VERSIONS)
def test_what_was_not_compared_is_a_finding(version: str) -> None:
    """A file without a digest is changed, though AIDE exits with 0 and reports "Looks okay!!"."""
    assert b"Looks okay!!" in report(f"unhashed{version}")
    found = parse(report(f"unhashed{version}"), 0)
    assert found.findings == [
        Finding("changed", f"{TREE}/shut", attributes={"attributes": (None, "-sha256")})
    ]


def test_a_file_that_changed_otherwise_too_is_one_finding() -> None:
    """What AIDE lists as changed is not counted again for its other attributes."""
    found = parse(report("unreadable"), 6)
    assert [finding.path for finding in found.findings] == [f"{TREE}/sub/b", f"{TREE}/sub", f"{TREE}/shut"]


@pytest.mark.parametrize(("version", "escape"), [("", "esc\\u0027[31m"), ("-0.19", "esc\\u001b[31m")])
def test_names(version: str, escape: str) -> None:
    """Names of any bytes come out visible, and two that AIDE 0.18's own escapes make one stay two."""
    paths = [
        finding.path.removeprefix(f"{TREE}/") for finding in parse(report(f"names{version}"), 3).findings
    ]
    assert paths == [
        'a": "f+++"},"number_of_entries": {"total": 1', "back\\\\slash", "bad\\xffutf",
        escape, "esc'[31m", "literal\\\\u0027", "new\\u000aline", 'quote"x',
        "rtl\\u202etxt", "sp ace", "ünï", "a", "shut", "sub", "sub/b",
    ]  # fmt: skip
    assert all(path.isprintable() for path in paths)


@pytest.mark.parametrize("name", ["database-empty", "database-text", "database-cut-off"])
def test_invalid_database_is_no_error_to_aide(name: str) -> None:
    """AIDE itself reports every file as added, which is why the check must see to it."""
    found = parse(report(name), 1)
    assert found.count("added") == found.total == len(found.findings)


@pytest.mark.parametrize(
    ("data", "exit_code", "reason"),
    [
        (b"", 0, "an empty report"),
        (b"\n", 0, "an empty report"),
        (report("database-missing"), 18, "an empty report"),
        (report("changed")[:-20], 7, "not whole"),
        (report("changed")[:700], 7, "not whole"),
        (report("changed"), 0, "its exit status is 0"),
        (report("changed"), 6, "its exit status is 6"),
        (report("clean"), 1, "its exit status is 1"),
        (report("clean").replace(b'"total": 5', b'"total": -5'), 0, "no number of entries"),
        (report("clean").replace(b'"total": 5', b'"total": "5"'), 0, "no number of entries"),
        (report("clean").replace(b'"number_of_entries"', b'"other"'), 0, "unknown form"),
        (report("changed").replace(b'"added": 1', b'"added": 2'), 7, "counts 2 added, and lists 1"),
        (report("changed").replace(b'"removed": 1,', b""), 7, "counts 0 removed, and lists 1"),
        (b"[]", 0, "unknown form"),
        (b"{}", 0, "unknown form"),
        (b"null", 0, "unknown form"),
        (b"[" * 200_000, 0, "not whole"),
        (b'{"number_of_entries": {"total": ' + b"9" * 5000 + b"}}", 0, "not whole"),
        (b'{"number_of_entries": {"total": 1}, "added": ["/a"]}', 1, "unknown form"),
        (b'{"number_of_entries": {"total": 1, "total": 2}}', 0, "one key twice"),
        (b'{"number_of_entries": {"total": 1}, "number_of_entries": {"total": 1}}', 0, "one key twice"),
    ],
)
def test_what_does_not_add_up_is_no_report(data: bytes, exit_code: int, reason: str) -> None:
    """An empty, cut-off or contradicting report is refused with its reason."""
    with pytest.raises(ValueError, match=reason):
        parse(data, exit_code)


def test_left_out_directories_are_not_removed() -> None:
    """What a check leaves out, which AIDE 0.19 reports as removed, is no finding; anything else is."""
    paths = ("/state", "/state/private", "/state2", "/state/..", "/stat")
    removed = ", ".join(f'"{path}": "f---"' for path in paths)
    data = f'{{"number_of_entries": {{"total": 1, "removed": 5}}, "removed": {{{removed}}}}}'.encode()
    found = parse(data, 2, ("/state",))
    assert [finding.path for finding in found.findings] == ["/state2", "/stat"]
    added = data.replace(b"removed", b"added")
    assert parse(added, 1, ("/state",)).count("added") == 5


def test_a_name_cannot_speak_for_aide() -> None:
    """Under an AIDE that doesn't quote, a file's name that adds a second count is refused, not believed."""
    name = '/a": "f+"}, "number_of_entries": {"total": 9}, "removed": {"/b'
    data = f'{{"number_of_entries": {{"total": 1, "added": 1}}, "added": {{"{name}": "f+"}}}}'.encode()
    with pytest.raises(ValueError, match="one key twice"):
        parse(data, 1)


def test_raw_control_characters_are_read() -> None:
    """An AIDE that writes a name's newline as it is leaves a report that can be read."""
    data = b'{"number_of_entries": {"total": 2, "added": 1}, "added": {"/a\nb\x1b": "f+"}}'
    assert parse(data, 1).findings == [Finding("added", "/a\\u000ab\\u001b", "f")]


@settings(max_examples=200)
@given(st.binary(max_size=300) | st.builds(lambda cut: report("names")[:cut], st.integers(0, 1700)))
def test_any_bytes(data: bytes) -> None:
    """Whatever a report holds, it is read or refused."""
    with contextlib.suppress(ValueError):
        parse(data, 3)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200)
@given(
    st.fixed_dictionaries(
        {"number_of_entries": st.just({"total": 1, "added": 1}) | _JSON},
        optional={
            name: st.just({"/a": "f"}) | _JSON for name in ("added", "details", "different_attributes")
        },
    )
)
def test_any_form(report_: object) -> None:
    """Whatever form a report has, it is read or refused."""
    with contextlib.suppress(ValueError):
        parse(json.dumps(report_).encode(), 1)


@settings(max_examples=200)
@given(st.binary(max_size=20), st.binary(max_size=20))
def test_visible_is_safe_and_keeps_names_apart(one: bytes, other: bytes) -> None:
    """What is shown has no control character, and two names never look alike."""
    texts = [name.decode("utf-8", "surrogateescape") for name in (one, other)]
    shown = [visible(text) for text in texts]
    assert all(text.isprintable() for text in shown)
    assert (shown[0] == shown[1]) == (texts[0] == texts[1])


def test_visible_is_bounded() -> None:
    """What is longer than any path loses its end."""
    assert visible("x" * 5000) == "x" * 4096 + "…"


@pytest.mark.parametrize(
    "name",
    [
        *("unhashed", "unreadable", "database-text", "database-cut-off", "bad-config"),
        *("unhashed-0.19", "unreadable-0.19"),
    ],
)
def test_a_warning_of_what_was_not_read_is_fatal(name: str) -> None:
    """Every warning that AIDE gave of an unreadable part or a damaged database ends the check."""
    fatal, _ = judge(stderr(name))
    assert fatal
    assert fatal in stderr(name)


@pytest.mark.parametrize(("version", "count"), [("", 4), ("-0.19", 2)])
def test_files_that_change_meanwhile_do_not_fail_a_check(version: str, count: int) -> None:
    """Files that come and go are nothing; those that grow while AIDE reads them are warnings."""
    fatal, warnings = judge(stderr(f"busy{version}"))
    assert fatal == ""
    assert len(warnings) == count
    assert all(f"{TREE}/" in warning for warning in warnings)


@pytest.mark.parametrize(
    "message",
    [
        "hash calculation: '/x' has been changed (changed attributes: size, hash could not be calculated)",
        "hash calculation: number of bytes read (5) mismatches stat size (4) for '/x' (hashsums could not)",
        "'/x' has changed (changed fields: mtime) during hash calculation (discarding calculated hashsums)",
        "'/x' has changed (changed fields: size) during hash calculation, was file truncated? (discarding)",
        "'/x' has changed (a) during hash calculation, was file growing? ('growing') (a)",
        "number of bytes read for hash calculation (5) mismatches expected stat size (4) for '/x' (a)",
        "failed to open regular file '/x' for reading: stat fields changed: size+mtime (disabling attrs)",
        "cannot compare hashsums of old:'/x' and new:'/x' (no common hashsum(s) available)",
        "Dead symlink detected at /x",
        "/etc/aide/aide.conf:12: Using 'S' attribute is DEPRECATED and will be removed",
        "(--before):1: ignoring not compiled-in attribute(s): selinux (line: 'x')",
    ],
)
def test_tolerable_warnings(message: str) -> None:
    """In no version's wording does a file that was written to, or an odd configuration, fail the check."""
    assert judge(f"WARNING: {message}\n") == ("", [message])


@pytest.mark.parametrize(
    "message",
    [
        "failed to access '/x': No such file or directory (skipping)",
        "failed to open directory '/x' for reading: open() failed: No such file or directory (skipping)",
        "failed to open regular file '/x' for reading: open() failed: Too many levels of symbolic links (a)",
        "failed to access '/x/y': Not a directory (skipping)",
        "failed to access '/proc/7/fd': No such process (skipping)",
        "lgetxattr() failed to get value of extended attribute 'a' for '/x': No data available (discarding)",
        "listxattrs failed for /x:No such file or directory",
        "tried to read default ACL on /x but failed with: Invalid argument",
    ],
)
def test_vanished_files_are_nothing(message: str) -> None:
    """In no version's wording is a file that was removed or replaced meanwhile worth a warning."""
    assert judge(f"WARNING: {message}\n") == ("", [])


def test_judging_is_linear() -> None:
    """A line without end, and very many lines, are judged at once: quadratic work would take hours."""
    for text in (
        "(" * 500_000,
        " (" * 400_000 + ")",
        "'" * 500_000,
        ":1: " * 250_000,
        "WARNING: \n" * 100_000,
    ):
        assert judge(f"WARNING: {text}")[0]


@pytest.mark.parametrize(
    "line",
    [
        f"WARNING: opendir() failed for '/x{GONE}' (fullpath: '/x'): Permission denied",
        f"WARNING: hash calculation: open() failed for /x{CHANGED}: Input/output error {UNHASHED}",
        f"WARNING: hash calculation: open() failed for /x{GONE} {UNHASHED}: Permission denied {UNHASHED}",
        "WARNING: file:/aide.db:5: cutoff database line '/x is DEPRECATED y' found (field 'attr' is missing)",
        "WARNING: tried to read access ACL on /x but failed with: Permission denied",
        f"WARNING: failed to open file '/x': open() failed{GONE} (a)' for reading: Permission denied (a)",
        "WARNING: failed to open directory '/x has changed' for reading: Operation not permitted",
        "WARNING: hash calculation: failed to read file content of '/x': Input/output error (hashsums)",
        "WARNING: hash calculation: update_md() failed for '/x has changed' (hashsums)",
        "WARNING: '/x:5: has changed': failed to duplicate file descriptor: Too many open files",
        "WARNING: failed to access '/nfs/x': Stale file handle (skipping)",
        "WARNING: rule tree is empty, no files will be added to the database",
        "WARNING: something that no AIDE ever wrote",
        "  ERROR: No such file or directory",
        "aide: error while loading shared libraries",
        "\x00\xff",
    ],
)
def test_a_name_cannot_make_a_warning_harmless(line: str) -> None:
    """Only the message's own beginning and end count, and what is not known is fatal."""
    assert judge(line)[0]


def test_notices_are_nothing() -> None:
    """AIDE's notices neither fail a check nor are kept."""
    assert judge(stderr("database-in")) == ("", [])
    assert judge("\n") == ("", [])
