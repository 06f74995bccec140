"""Which container a process runs in, from /proc/PID/cgroup."""

from pathlib import Path

import pytest

from exporter.probe import Host
from exporter.system.cgroup import container_of, parse_containers

ID, INNER = "3c" * 32, "9e" * 32
POD = "pod1c9f2b7e_3d44_4f0a_9b51_6a2e8d07c3f5"


@pytest.mark.parametrize(
    "line",
    [
        f"0::/system.slice/docker-{ID}.scope",
        f"12:memory:/docker/{ID}",
        f"0::/../docker-{ID}.scope",
        f"0::/machine.slice/libpod-{ID}.scope/container",
        f"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope/container/app",
        f"11:devices:/libpod_parent/libpod-{ID}",
        f"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-{POD}.slice/cri-containerd-{ID}.scope",
        f"4:cpu,cpuacct:/kubepods/besteffort/{POD}/{ID}",
        f"0::/kubepods.slice/kubepods-{POD}.slice/crio-{ID}.scope",
        f"0::/system.slice/containerd.service/kubepods-{POD}.slice:cri-containerd:{ID}",
    ],
)
def test_engines(line: str) -> None:
    """The id is found in the groups that Docker, Podman, containerd and CRI-O make, under both versions."""
    assert parse_containers(f"{line}\n") == [ID]


@pytest.mark.parametrize(
    "line",
    [
        "0::/",
        "0::/user.slice/user-1000.slice/session-2.scope",
        "0::/system.slice/ollama.service",
        "0::/machine.slice/systemd-nspawn@box.service/payload",
        "1:name=systemd:/lxc/box",
        f"0::/system.slice/run-{ID[:40]}.scope",
        f"0::/system.slice/{ID}0.service",
    ],
)
def test_host(line: str) -> None:
    """Sessions, services and machines that are no container of an engine have no id."""
    assert parse_containers(f"{line}\n") == []


def write(box: Host, pid: int, groups: str) -> None:
    """Gives a process its groups."""
    (box.proc / str(pid)).mkdir(parents=True)
    (box.proc / str(pid) / "cgroup").write_text(groups, "utf-8", "surrogateescape")


def test_name(tmp_path: Path) -> None:
    """A container goes by its name, by 12 digits of its id where that is unknown, and the host by nothing."""
    box = Host(proc=tmp_path, container_names={ID: "ollama"})
    write(box, 1, f"1:name=systemd:/docker/{ID}\n0::/docker/{ID}\n")
    write(box, 2, f"0::/docker/{INNER}\n")
    write(box, 3, "0::/init.scope\n")
    write(box, 4, "\udcff\udcfe binary\n")
    assert [container_of(pid, box) for pid in (1, 2, 3, 4)] == ["ollama", INNER[:12], "", ""]


def test_container_in_a_container(tmp_path: Path) -> None:
    """Of nested containers it is the one whose name is known, else the outer one."""
    box = Host(proc=tmp_path)
    write(box, 1, f"0::/docker/{ID}/docker/{INNER}\n")
    assert container_of(1, box) == ID[:12]
    box.container_names[INNER] = "inner"
    assert container_of(1, box) == "inner"


def test_gone(tmp_path: Path) -> None:
    """A process that has ended is no error: no container is known."""
    assert container_of(77, Host(proc=tmp_path)) == ""
