from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.probe import Host
from exporter.probes.containers.cgroups import Usage, parse_groups, usage

ID = "5f" * 32
OTHER = "a0" * 32


def group(host: Host, path: str, **files: str) -> None:
    """Writes a control group's files; a double underscore stands for a dot."""
    directory = host.cgroup / path
    directory.mkdir(parents=True)
    for name, text in files.items():
        (directory / name.replace("__", ".")).write_text(text)


def process(host: Host, membership: str, pid: int = 42) -> None:
    """Writes the process's membership, as /proc shows it."""
    (host.proc / str(pid)).mkdir(parents=True)
    (host.proc / str(pid) / "cgroup").write_text(membership)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host with a /proc and a /sys/fs/cgroup of its own."""
    return Host(proc=tmp_path / "proc", cgroup=tmp_path / "cgroup")


@pytest.mark.parametrize(
    ("membership", "own"),
    [
        (f"0::/system.slice/docker-{ID}.scope", f"system.slice/docker-{ID}.scope"),
        (f"0::/docker/{ID}", f"docker/{ID}"),
        (f"0::/docker/{ID}/init.scope", f"docker/{ID}"),
        (f"0::/machine.slice/libpod-{ID}.scope/container", f"machine.slice/libpod-{ID}.scope"),
        (f"0::/libpod_parent/libpod-{ID}", f"libpod_parent/libpod-{ID}"),
        (
            f"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope/container",
            f"user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope",
        ),
        (f"0::/docker/{OTHER}/docker/{ID}", f"docker/{OTHER}/docker/{ID}"),
        (f"0::/docker/{ID}/docker/{OTHER}", f"docker/{ID}"),
        (f"0::/a:b/{ID}", f"a:b/{ID}"),
    ],
)
def test_version_2_paths(membership: str, own: str) -> None:
    """The container's own group is found under every driver, engine and nesting."""
    assert parse_groups(f"{membership}\n", ID) == {"": own}


@pytest.mark.parametrize(
    "membership",
    [
        "",
        "0::/",
        "0::/user.slice/session-1.scope",
        f"0::/docker/{OTHER}",
        f"0::/../docker-{ID}.scope",
        f"0::/../../{ID}",
        f"0::/docker/{ID}/../../etc",
        f"0:{ID}",
        f"docker/{ID}",
        "\0\n\n:::\n",
    ],
)
def test_paths_that_are_not_the_containers(membership: str) -> None:
    """Another's group (the pid was given away), the tree's root and paths that climb are left out."""
    assert parse_groups(membership, ID) == {}


def test_version_1_paths() -> None:
    """Version 1 has a path for each controller, two of which may share one."""
    text = f"12:cpu,cpuacct:/docker/{ID}\n4:memory:/docker/{ID}\n3:pids:/\n1:name=systemd:/{ID}\n0::/docker\n"
    own = dict.fromkeys(("cpu", "cpuacct", "memory"), f"docker/{ID}")
    assert parse_groups(text, ID) == {**own, "name=systemd": ID}


def test_version_2(host: Host) -> None:
    """Version 2: microseconds become seconds, and inactive file cache counts as free."""
    process(host, f"0::/system.slice/docker-{ID}.scope\n")
    group(
        host, f"system.slice/docker-{ID}.scope",
        cpu__stat="usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\n",
        memory__current="10000\n",
        memory__stat="anon 5000\ninactive_anon 1\ninactive_file 4000\n",
    )  # fmt: skip
    assert usage(host, 42, ID) == Usage(1.5, 6000)


def test_version_1(host: Host) -> None:
    """Version 1: nanoseconds become seconds; the whole group's cache counts, not that of its top alone."""
    process(host, f"2:cpuacct:/docker/{ID}\n3:memory:/docker/{ID}\n0::/docker/{ID}\n")
    group(host, f"cpuacct/docker/{ID}", cpuacct__usage="2500000000\n")
    group(
        host, f"memory/docker/{ID}",
        memory__usage_in_bytes="9000\n", memory__stat="inactive_file 1\ntotal_inactive_file 2000\n",
    )  # fmt: skip
    assert usage(host, 42, ID) == Usage(2.5, 7000)


def test_container_that_has_just_ended(host: Host) -> None:
    """Nothing is known of a process that is gone, or whose group is."""
    assert usage(host, 42, ID) == Usage(None, None)
    process(host, f"0::/docker/{ID}\n")
    assert usage(host, 42, ID) == Usage(None, None)


@pytest.mark.parametrize(
    "text", ["", "max\n", "-1\n", "nan\n", "1e400\n", "\0\n", "usage_usec\n", "usage_usec x\n"]
)
def test_files_that_are_invalid(host: Host, text: str) -> None:
    """Whatever is no value is left out, never 0."""
    process(host, f"0::/docker/{ID}\n")
    group(host, f"docker/{ID}", cpu__stat=text, memory__current=text, memory__stat="inactive_file 0\n")
    assert usage(host, 42, ID) == Usage(None, None)


def test_cache_read_later_than_the_total(host: Host) -> None:
    """Memory is never negative, though its two files are read one after the other."""
    process(host, f"0::/docker/{ID}\n")
    group(host, f"docker/{ID}", memory__current="100\n", memory__stat="inactive_file 200\n")
    assert usage(host, 42, ID) == Usage(None, 0)


def test_memory_without_its_cache(host: Host) -> None:
    """Without the cache's part the memory is not known: the whole would be another value."""
    process(host, f"0::/docker/{ID}\n")
    group(host, f"docker/{ID}", memory__current="100\n")
    assert usage(host, 42, ID).memory_bytes is None


@given(
    st.lists(
        st.sampled_from([ID, OTHER, "/", "..", ":", "0::/", "12:memory:/", "\n", "\0", "\x85", "x"])
    ).map("".join)
)
@settings(max_examples=200)
def test_any_membership(text: str) -> None:
    """No text leads out of the tree or to a group that is not the container's."""
    for path in parse_groups(text, ID).values():
        *above, own = path.split("/")
        assert ID in own
        assert not any(ID in part for part in above)
        assert ".." not in above
