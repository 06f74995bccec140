import json
import tracemalloc
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from exporter.probe import ProbeError
from exporter.probes.containers.inspect_json import COMPOSE_PROJECT as PROJECT
from exporter.probes.containers.inspect_json import COMPOSE_SERVICE as SERVICE
from exporter.probes.containers.inspect_json import Container, by_name, parse, timestamp

CAPTURES = Path(__file__).parents[2] / "captures"
DIGEST = "ab" * 32
EXITED = {"Status": "exited", "ExitCode": 7, "StartedAt": "2026-11-22T11:41:46Z"}


def captured(engine: str) -> dict[str, Container]:
    """The recorded containers by name, all of them understood."""
    containers, errors = parse((CAPTURES / engine / "inspect.out").read_bytes())
    assert not errors
    return by_name(containers)


def one(**changes: Any) -> Container:
    """A container of which little is known but these fields, as the engine spells them."""
    raw = {"Id": DIGEST, "Name": "/web", "State": {"Status": "running"}, **changes}
    containers, errors = parse(json.dumps([raw]).encode())
    assert not errors
    return containers[0]


@pytest.mark.parametrize(
    ("name", "status", "health", "exit_code", "killed"),
    [
        ("created", "created", None, None, False),
        ("exited", "exited", None, 7, False),
        ("plain", "running", None, None, False),
        ("paused", "paused", None, None, False),
        ("impossible", "created", None, 127, False),
        ("crashing", "restarting", None, 1, False),
        ("healthy", "running", "healthy", None, False),
        ("unhealthy", "running", "unhealthy", None, False),
        ("starting", "running", "starting", None, False),
        ("done", "exited", None, 0, False),
        ("oom", "exited", None, 137, True),
    ],
)
def test_docker_state(
    name: str, status: str, health: str | None, exit_code: int | None, *, killed: bool
) -> None:
    """Every state of Docker's is reported, and one that has ended is not unhealthy."""
    it = captured("docker")[name]
    assert (it.status, it.health, it.exit_code, it.oom_killed) == (status, health, exit_code, killed)


@pytest.mark.parametrize(
    ("name", "status", "exit_code"),
    [
        ("created", "created", None),
        ("exited", "exited", 7),
        ("plain", "running", None),
        ("paused", "paused", None),
    ],
)
def test_podman_state(name: str, status: str, exit_code: int | None) -> None:
    """Podman's states come out as Docker's, and an empty health as none."""
    it = captured("podman")[name]
    assert (it.status, it.health, it.exit_code) == (status, None, exit_code)


def test_old_tool_says_the_same() -> None:
    """Docker's tool 20.10 and 28 report the same of a container."""
    new = captured("docker")
    old = captured("docker/20.10")
    assert set(old) == {"oom", "healthy", "paused", "exited", "created"}
    assert all(new[name] == it for name, it in old.items())


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("configured", "created"), ("initialized", "created"), ("stopping", "running"), ("stopped", "exited")],
)
def test_podmans_own_states(theirs: str, ours: str) -> None:
    """Podman's own states are reported as Docker's."""
    assert one(State={"Status": theirs}).status == ours


def test_health_of_old_podman() -> None:
    """Podman before 4 has Healthcheck where all others have Health."""
    assert one(State={"Status": "running", "Healthcheck": {"Status": "healthy"}}).health == "healthy"


def test_health_check_switched_off() -> None:
    """A health check that was switched off (``none``) is none."""
    assert one(State={"Status": "running", "Health": {"Status": "none"}}).health is None


@pytest.mark.parametrize(
    "change", [{"Id": "short"}, {"Id": f"{DIGEST}\n"}, {"Id": None}, {"State": {}}, {"State": {"Status": 1}}]
)
def test_container_that_is_invalid(change: dict[str, Any]) -> None:
    """A container without an id or a state is left out with an error; the others stay."""
    invalid = {"Id": DIGEST, "Name": "/invalid", "State": {"Status": "running"}, **change}
    good = {"Id": "cd" * 32, "Name": "/good", "State": {"Status": "running"}}
    containers, errors = parse(json.dumps([invalid, good]).encode())
    assert [it.name for it in containers] == ["good"]
    assert len(errors) == 1


@pytest.mark.parametrize(
    ("change", "unknown"),
    [
        ({"Name": None}, {"name": ""}),
        ({"Created": 3}, {"created_at": None}),
        ({"RestartCount": 10**400}, {"restarts": None}),
        ({"RestartCount": -1}, {"restarts": None}),
        ({"State": {**EXITED, "ExitCode": "7"}}, {"exit_code": None}),
        ({"State": {**EXITED, "Pid": -1}}, {"pid": 0}),
        ({"State": {**EXITED, "Pid": "1"}}, {"pid": 0}),
        ({"State": {**EXITED, "OOMKilled": "no"}}, {"oom_killed": None}),
        ({"HostConfig": {"Memory": 1.5, "RestartPolicy": {"Name": "always"}}}, {"memory_limit": None}),
        ({"HostConfig": {"Memory": 2**62, "RestartPolicy": {"Name": "always"}}}, {"memory_limit": None}),
        ({"HostConfig": []}, {"memory_limit": None, "restart_policy": "no"}),
        ({"Config": {"Image": "i", "Labels": ["a"]}}, {"labels": {}}),
        (
            {"Config": {"Image": ["i"], "Labels": {SERVICE: 1, PROJECT: "p"}}},
            {"image": "", "labels": {PROJECT: "p"}},
        ),
        ({"Config": 3}, {"image": "", "labels": {}}),
    ],
)
def test_invalid_field_is_alone_unknown(change: dict[str, Any], unknown: dict[str, Any]) -> None:
    """A field that is none costs no other."""
    known: dict[str, Any] = {
        "State": {**EXITED},
        "Created": "2026-11-22T11:41:46Z",
        "RestartCount": 5,
        "Config": {"Image": "i", "Labels": {PROJECT: "p", "other": "x"}},
        "HostConfig": {"Memory": 9, "RestartPolicy": {"Name": "always"}},
    }
    assert one(**{**known, **change}) == replace(one(**known), **unknown)


def bomb(**fields: str) -> bytes:
    """A container of which these fields are JSON of a megabyte and more."""
    config = {"Image": '"containrrr/watchtower"', "Labels": "{}", "Env": "[]", **fields}
    text = ",".join(f'"{name}":{value}' for name, value in config.items())
    return f'[{{"Id":"{DIGEST}","State":{{"Status":"running"}},"Config":{{{text}}}}}]'.encode()


@pytest.mark.parametrize(
    "fields",
    [
        {"Env": "[" + ",".join(['"a"'] * 3_000_000) + "]"},
        {"Env": "[" + ",".join(["[]"] * 3_000_000) + "]"},
        {"Labels": "{" + ",".join(f'"{n}":""' for n in range(1_000_000)) + "}"},
    ],
)
def test_field_without_end(fields: dict[str, str]) -> None:
    """What a container's owner fills without end is not decoded: 10 MB of it take next to no memory."""
    text = bomb(**fields)
    tracemalloc.start()
    try:
        containers, _ = parse(text)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [it.status for it in containers] == ["running"]
    assert peak < 1024 * 1024


@pytest.mark.parametrize("element", ["1", "{}", "[]", "null"])
def test_list_without_end(element: str) -> None:
    """An array of millions of elements is refused at the first that is no container."""
    text = f"[{','.join([element] * 1_000_000)}]".encode()
    with pytest.raises(ProbeError, match="is invalid"):
        parse(text)


@pytest.mark.parametrize(
    "text", [b"", b"null", b"{}", b"[", b"[1,", b"\0", b"\xff", b"[]x", b"json\n", b"[" * 100_000]
)
def test_no_json_array(text: bytes) -> None:
    """What is no JSON array is an error with a reason."""
    with pytest.raises(ProbeError, match="is invalid"):
        parse(text)


def test_deeply_nested_container() -> None:
    """Nesting without end is an error, no crash."""
    with pytest.raises(ProbeError, match="is invalid"):
        parse(b'[{"Id":' + b"[" * 100_000 + b"]" * 100_000 + b"}]")


@given(
    st.binary(max_size=300)
    | st.sampled_from([b'[{"Id":1}]', b"[[]]", b"[3]", b'[{"Id":"\xff"}]', b'["\xff"]'])
)
@settings(max_examples=200)
def test_any_bytes(text: bytes) -> None:
    """Whatever comes, there is a list or a ProbeError."""
    try:
        containers, _ = parse(text)
    except ProbeError:
        return
    assert not containers


@given(st.data())
@settings(max_examples=200)
def test_truncated_anywhere(data: st.DataObject) -> None:
    """Output that is cut off anywhere is an error, never fewer containers."""
    whole = (CAPTURES / "docker" / "gone.out").read_bytes().strip()
    with pytest.raises(ProbeError):
        parse(whole[: data.draw(st.integers(0, len(whole) - 1))])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-22T11:41:46Z", 1795347706.0),
        ("2026-11-22T11:41:46.2Z", 1795347706.2),
        ("2026-11-22T11:41:45.93837248Z", 1795347705.938372),
        ("2026-11-22T11:41:46.268051406Z", 1795347706.268051),
        ("2026-11-22T12:41:46.268051406+01:00", 1795347706.268051),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+02:00", None),
        ("2026-11-22T11:41:46", None),
        ("9000-11-22T11:41:46Z", None),
        ("2026-13-22T11:41:46Z", None),
        ("2026-11-22T11:41:60Z", None),
        ("", None),
        ("3 seconds ago", None),
    ],
)
def test_timestamp(text: str, seconds: float | None) -> None:
    """Go's times become Unix time whatever their digits and zone; its zero time and nonsense are none."""
    assert timestamp(text) == (None if seconds is None else pytest.approx(seconds, abs=1e-6))


@given(
    st.datetimes(datetime(1971, 1, 1), datetime(2099, 1, 1)),  # noqa: DTZ001 - the zone comes below
    st.integers(-14 * 60, 14 * 60),
    st.integers(0, 999),
)
@settings(max_examples=200)
def test_any_timestamp(when: datetime, offset: int, nanoseconds: int) -> None:
    """Any time in any zone with nine digits is read to the microsecond."""
    zoned = when.replace(tzinfo=timezone(timedelta(minutes=offset)))
    text = f"{when:%Y-%m-%dT%H:%M:%S}.{when.microsecond:06}{nanoseconds:03}{zoned.isoformat()[-6:]}"
    elapsed = zoned.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    assert timestamp(text) == pytest.approx(elapsed.total_seconds(), abs=1e-3)


@given(st.text(max_size=60))
@settings(max_examples=200)
def test_any_text_as_timestamp(text: str) -> None:
    """No text is an error or a time before 1970."""
    assert (timestamp(text) or 1.0) > 0


def test_two_of_one_name() -> None:
    """The first of two keeps the name, the second goes by its id; nothing is lost and nothing mixed up."""
    first, second, third = one(), one(Id="cd" * 32), one(Id="cd" * 6 + "ef" * 26, Name="/cdcdcdcdcdcd")
    assert by_name([first, second]) == {"web": first, "cdcdcdcdcdcd": second}
    assert by_name([first, third, second]) == {"web": first, "cdcdcdcdcdcd": third, "cd" * 32: second}


def test_the_same_twice() -> None:
    """A container that is reported twice comes out once."""
    assert list(by_name([one(), one(RestartCount=1)])) == ["web"]


def test_nameless() -> None:
    """A container without a name goes by its id."""
    assert list(by_name([one(Name="")])) == ["abababababab"]
