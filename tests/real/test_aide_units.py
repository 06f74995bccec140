"""AIDE's units in a booted systemd, from a changed file to an accepted database, by HTTP and nothing else."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from exporter.aide.proof import make_proof
from tests.real.installation import NEEDED, Installation
from tests.real.lived_in import CONFIG_FILE, UNIT, scrape
from tests.real.systemd_world import World, until

pytestmark = [pytest.mark.real(*NEEDED, "aide", "setfacl"), pytest.mark.timeout(1800)]

CHECK = "grid-aide-check.service"
ACCEPT = "grid-aide-accept.service"
WATCH = "grid-aide-accept.path"
DATABASE = "/var/lib/aide/aide.db"
STATE = "/var/lib/grid-exporter-aide"
REQUEST = "/run/grid-exporter/aide-accept"
TOKEN, KEY = "0123456789abcdef" * 4, "fedcba9876543210" * 4
KEY_FILE = "/etc/grid-exporter/aide-accept-key"
CONFIG = "probes: {aide: {action_token_file: /etc/grid-exporter/aide-token, ttl: 1s}}\n"
# As it may be on a real box: all that AIDE can compare, in places that sandboxes like to hide or replace.
AIDE = f"""\
database_in=file:{DATABASE}
database_out=file:{DATABASE}.new
report_url=file:/var/log/aide/aide.log
All=ftype+p+i+n+u+g+s+b+m+c+acl+xattrs+caps+e2fsattrs+sha256
/srv/tree All
/home All
/root$ d All
/tmp/kept All
/var/tmp/kept All
/dev/kept All
/dev/null All
/usr/lib/modules All
/etc/grid-exporter All
/proc/sys/kernel/ostype$ ftype+p+u+g
/sys/kernel/kept All
/run/credentials ftype+p+u+g+n+i
/run/systemd$ d ftype+p+u+g
/run/systemd/(incoming|propagate) ftype+p+u+g+n
"""
# Of which systemd gives every sandbox its own.
SYSTEMDS_OWN = re.compile("/run/(credentials|systemd/(incoming|propagate))(/|$)")
# A file of each odd kind, and attributes that only root sees.
ODD = """\
mkdir -p /srv/tree /tmp/kept /var/tmp/kept /dev/kept /home/alice/.secret /usr/lib/modules/kept /var/log/aide
for folder in /srv/tree /tmp/kept /var/tmp/kept /dev/kept /home/alice/.secret /usr/lib/modules/kept; do
    echo text >$folder/file; chmod 600 $folder/file
    ln -s file $folder/link; mkfifo $folder/fifo
done
mknod /dev/kept/disk b 8 0
chown -R 1234:1234 /home/alice; chmod 700 /home/alice
cp /bin/true /srv/tree/privileged; chmod 4755 /srv/tree/privileged
setfacl -m u:1234:r /srv/tree/file
python3 - <<'END'
import os
os.setxattr('/srv/tree/file', 'user.note', b'1')
os.setxattr('/srv/tree/file', 'trusted.note', b'2')
os.setxattr('/srv/tree/privileged', 'security.capability', bytes.fromhex('01000002002' + '0' * 29))
END
"""


@pytest.fixture(scope="module")
def host(installed: Installation) -> Iterator[World]:
    """A box whose AIDE has a database, owned as Debian's packages do it, and whose action is switched on."""
    with installed.box() as made:
        made.put("/etc/aide/aide.conf", AIDE)
        made.put(CONFIG_FILE, CONFIG)
        made.put("/etc/default/grid-exporter", f'ARGS="--config.file={CONFIG_FILE}"\n')
        made.put("/etc/grid-exporter/aide-token", f"{TOKEN}\n", 0o640)
        made.put(KEY_FILE, f"{KEY}\n", 0o600)
        made.boot()
        made.run("chgrp", "grid-exporter", "/etc/grid-exporter/aide-token")
        made.run("sh", "-ec", ODD)
        if made.try_run("getent", "passwd", "_aide").returncode:
            made.run("useradd", "--system", "_aide")
        made.run("mkdir", "-p", "/var/lib/aide")
        initialize(made)
        made.run("chown", "-R", "_aide:_aide", "/var/lib/aide")
        made.run("chmod", "700", "/var/lib/aide")
        made.systemctl("restart", UNIT)
        made.systemctl("enable", "--now", WATCH)
        yield made
        assert "Traceback" not in made.journal()


def initialize(host: World) -> None:
    """Makes a database as an administrator does it, outside of any sandbox."""
    host.run("aide", "--config=/etc/aide/aide.conf", "--init")
    host.run("mv", f"{DATABASE}.new", DATABASE)


def check(host: World) -> dict[str, Any]:
    """Has the unit check; the summary that it leaves."""
    host.systemctl("start", CHECK)
    found = left(host, "summary")
    assert found["success"], found
    return found


def left(host: World, name: str) -> dict[str, Any]:
    """What root's commands left of the last check (summary) or accept (outcome); empty for nothing."""
    path = host.root / STATE.lstrip("/") / f"{name}.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def report(host: World) -> dict[str, Any]:
    """The report, for whoever has the token. The number of requests is limited."""
    status, text = host.get("/-/aide/report", "-H", f"Authorization: Bearer {TOKEN}")
    assert status == 200, text
    return dict(json.loads(text))


def accept(host: World, id_: str, token: str = TOKEN, key: str = KEY) -> int:
    """Requests over HTTP that this ID be accepted, with a proof of the last summary; the answer's status."""
    header = ("-H", f"Authorization: Bearer {token}", "-H", "Content-Type: application/json")
    return host.get("/-/aide/accept", *header, "-d", json.dumps({"id": id_, "proof": prove(host, key)}))[0]


def prove(host: World, key: str = KEY) -> str:
    """The proof of the summary that is served."""
    status, text = host.get("/-/aide/summary", "-H", f"Authorization: Bearer {TOKEN}")
    assert status == 200, text
    return make_proof(text.encode(), key.encode())


def accepted(host: World, id_: str) -> None:
    """Accepts it over HTTP, and waits until root's unit has written the outcome."""
    assert accept(host, id_) == 202
    until(lambda: left(host, "outcome").get("id") == id_)
    assert left(host, "outcome")["success"]
    until(lambda: host.show(ACCEPT, "ActiveState") == "inactive")


def refused(host: World, command: str) -> str:
    """Runs a command as the exporter's user that leaves a request; why root refuses it."""
    last = left(host, "outcome").get("timestamp", 0)
    host.run("sh", "-c", command, user="grid-exporter")
    until(lambda: left(host, "outcome").get("timestamp", 0) > last)
    outcome = left(host, "outcome")
    assert not outcome["success"]
    until(lambda: host.show(ACCEPT, "ActiveState") == "inactive")
    return str(outcome["reason"])


def changes(found: dict[str, Any]) -> dict[str, str]:
    """The files that a check found, and what happened to each."""
    return {finding["path"]: finding["change"] for finding in found["findings"]}


def entries(database: str) -> list[list[str]]:
    """The files that a database describes, each by its name and fields, of which some have no order."""
    lines = [re.split("[ ,]", line) for line in database.splitlines() if line.startswith("/")]
    return [[name, *sorted(fields)] for name, *fields in lines]


def test_the_sandbox_changes_nothing_that_aide_sees(host: World) -> None:
    """The unit's AIDE finds each file as root's own found it: odd, unreadable and often hidden ones too."""
    found = check(host)
    assert changes(found) == {}
    text = host.run("cat", DATABASE)
    assert entries(host.run("cat", f"{STATE}/private/{found['id']}.db")) == [
        fields for fields in entries(text) if not SYSTEMDS_OWN.match(fields[0])
    ]
    for name in (
        "/home/alice/.secret/file",
        "/dev/kept/disk",
        "/tmp/kept/fifo",
        "/usr/lib/modules/kept/link",
    ):
        assert f"\n{name} " in text
    assert "trusted.note" in text


@pytest.mark.parametrize(
    "protection",
    [
        "PrivateTmp=yes",
        "PrivateDevices=yes",
        "ProtectHome=yes",
        "ProtectKernelModules=yes",
        "CapabilityBoundingSet=~CAP_SYS_ADMIN",
        "CapabilityBoundingSet=~CAP_DAC_READ_SEARCH",
    ],
)
def test_a_protection_that_is_left_out_would_hide_something(host: World, protection: str) -> None:
    """With the protection AIDE takes files for changed that are as they were, or cannot read them all."""
    drop_in = f"/etc/systemd/system/{CHECK}.d/test.conf"
    host.put(drop_in, f"[Service]\n{protection}\n")
    host.systemctl("daemon-reload")
    host.try_run("systemctl", "start", CHECK)
    assert not left(host, "summary")["success"] or left(host, "summary")["findings"]
    host.run("rm", drop_in)
    host.systemctl("daemon-reload")
    assert changes(check(host)) == {}


def test_from_a_changed_file_to_an_accepted_database(host: World) -> None:
    """The timer's unit checks, the findings are read and accepted by token, and then all is clean."""
    check(host)
    until(lambda: scrape(host).get("grid_aide_clean") == 1)
    host.run("sh", "-c", "echo new >/srv/tree/added; echo more >>/srv/tree/file")
    _let_the_timer_run_out(host)
    until(lambda: scrape(host).get('grid_aide_entries{change="added"}') == 1)
    found = report(host)["check"]
    assert changes(found) == {"/srv/tree": "changed", "/srv/tree/added": "added", "/srv/tree/file": "changed"}
    assert found["id"] in host.try_run("grid-exporter", "aide", "show", user="grid-exporter").stdout
    before = host.run("stat", "-c", "%U %G %a", DATABASE)
    accepted(host, found["id"])
    assert host.run("sha256sum", DATABASE).split()[0] == found["id"]
    assert host.run("stat", "-c", "%U %G %a", DATABASE) == before
    until(lambda: scrape(host).get("grid_aide_accept_success") == 1)
    assert changes(check(host)) == {}


def _let_the_timer_run_out(host: World) -> None:
    """Brings the day's check forward by the timer's own means."""
    host.put(
        "/etc/systemd/system/grid-aide-check.timer.d/now.conf",
        "[Timer]\nOnActiveSec=0\nRandomizedDelaySec=0\n",
    )
    last = scrape(host)["grid_aide_last_check_timestamp_seconds"]
    host.systemctl("daemon-reload")
    host.systemctl("restart", "grid-aide-check.timer")
    until(
        lambda: (
            scrape(host)["grid_aide_last_check_timestamp_seconds"] > last and not report(host)["under_way"]
        )
    )
    host.run("rm", "/etc/systemd/system/grid-aide-check.timer.d/now.conf")
    host.systemctl("daemon-reload")
    host.systemctl("restart", "grid-aide-check.timer")


def test_what_was_swapped_after_the_check_reappears(host: World) -> None:
    """Accepted is what was reviewed: what an added file was swapped for in between stays a finding."""
    host.run("sh", "-c", "echo harmless >/srv/tree/reviewed")
    found = check(host)
    assert changes(found)["/srv/tree/reviewed"] == "added"
    host.run("sh", "-c", "echo evil-one >/srv/tree/reviewed")
    accepted(host, found["id"])
    found = check(host)
    assert changes(found) == {"/srv/tree/reviewed": "changed"}
    accepted(host, found["id"])
    assert changes(check(host)) == {}


def test_only_the_token_opens_the_action(host: World) -> None:
    """Without it nothing is served and nothing requested; a stale ID is refused even with it."""
    id_ = check(host)["id"]
    assert host.get("/-/aide/report")[0] == 401
    assert accept(host, id_, token="f" * 64) == 403
    assert accept(host, "0" * 64) == 409
    assert host.try_run("test", "-e", REQUEST).returncode != 0
    assert "/-/aide/accept from 127.0.0.1: 403" in host.journal(UNIT)


def test_the_exporter_can_ask_for_one_thing_only(host: World) -> None:
    """Its user may leave a request; it may start no unit, and read or write nothing that is root's."""
    id_ = check(host)["id"]
    for attempt in (
        ("systemctl", "start", CHECK),
        ("systemctl", "start", ACCEPT),
        ("systemctl", "stop", WATCH),
        ("cat", f"{STATE}/private/{id_}.db"),
        ("touch", f"{STATE}/summary.json"),
        ("touch", f"{STATE}/planted"),
        ("cat", DATABASE),
        ("grid-exporter", "aide", "check"),
        ("grid-exporter", "aide", "accept", id_),
    ):
        assert host.try_run(*attempt, user="grid-exporter").returncode != 0, attempt
    assert "entries" in host.run("grid-exporter", "aide", "show", user="grid-exporter")


@pytest.mark.parametrize(
    "leave",
    [
        "ln -s /etc/shadow",
        "ln -s /dev/zero",
        "mkfifo",
        "mkdir -p",
        "f() { mkdir $1 && touch $1/full; }; f",
        "f() { printf '%064d %064d\\nroot' 0 0 >$1; }; f",
        "f() { printf '%064d\\n' 0 >$1; }; f",
        "f() { head -c 10000000 /dev/zero >$1; }; f",
        "touch",
    ],
)
def test_a_hostile_request_is_refused_and_gone(host: World, leave: str) -> None:
    """Whatever the exporter's user leaves instead of an ID is no request, and the next one is served."""
    before = host.run("sha256sum", DATABASE)
    assert re.match("the request (is not|cannot be read)", refused(host, f"{leave} {REQUEST}"))
    assert host.try_run("test", "-e", REQUEST).returncode != 0
    assert host.run("sha256sum", DATABASE) == before
    assert host.show(WATCH, "ActiveState") == "active"
    assert not re.search("root:|daemon:", host.journal(ACCEPT))


def test_a_flood_of_requests_shuts_nobody_out(host: World) -> None:
    """However many invalid requests come, checks are done, and systemd starts the unit for a real one."""
    host.run("sh", "-c", "echo again >/srv/tree/again")
    flood = f"(for n in $(seq 60); do echo $n >{REQUEST}; sleep 0.05; done) >/dev/null 2>&1 &"
    host.run("sh", "-c", flood, user="grid-exporter")
    id_ = check(host)["id"]
    until(lambda: host.try_run("pgrep", "-u", "grid-exporter", "^sh$").returncode != 0)
    until(lambda: host.try_run("test", "-e", REQUEST).returncode != 0)
    accepted(host, id_)
    assert changes(check(host)) == {}


def test_a_check_that_cannot_be_done_is_a_failed_unit(host: World) -> None:
    """Without a database the unit fails, the metrics say so, nothing is clean, and the reason helps."""
    host.run("mv", DATABASE, f"{DATABASE}.away")
    try:
        assert host.try_run("systemctl", "start", CHECK).returncode != 0
        until(lambda: scrape(host).get("grid_aide_check_success") == 0)
        assert "grid_aide_clean" not in scrape(host)
        assert scrape(host)["grid_aide_last_check_timestamp_seconds"] > 0
        assert f"there is no database {DATABASE}" in left(host, "summary")["reason"]
    finally:
        host.run("mv", f"{DATABASE}.away", DATABASE)
    check(host)


def test_taken_over_exporter_accepts_nothing(host: World) -> None:
    """Its user has token, ID and summary, but cannot read the key: root refuses what it requests."""
    host.run("sh", "-c", "echo nobody reviewed this >/srv/tree/intruder")
    id_, before = check(host)["id"], host.run("sha256sum", DATABASE)
    assert host.try_run("cat", KEY_FILE, user="grid-exporter").returncode != 0
    for guess in (id_, prove(host, TOKEN), prove(host, "")):
        assert refused(host, f"echo {id_} {guess} >{REQUEST}").startswith("the proof is wrong")
    assert host.run("sha256sum", DATABASE) == before
    host.run("rm", "/srv/tree/intruder")
    check(host)


def test_without_a_key_requests_are_not_watched_for(host: World) -> None:
    """The path unit does not start without root's key."""
    host.run("mv", KEY_FILE, f"{KEY_FILE}.away")
    host.systemctl("restart", WATCH)
    assert host.show(WATCH, "ActiveState") == "inactive"
    host.run("mv", f"{KEY_FILE}.away", KEY_FILE)
    host.systemctl("restart", WATCH)
    assert host.show(WATCH, "ActiveState") == "active"


def test_printed_command_accepts_over_http(host: World) -> None:
    """`aide show` prints the command with which someone without root accepts, given token and key."""
    host.run("sh", "-c", "echo by hand >/srv/tree/over-http")
    id_ = check(host)["id"]
    shown = host.try_run("grid-exporter", "aide", "show").stdout
    command = next(line.strip() for line in shown.splitlines() if "curl" in line)
    env = {"TOKEN": TOKEN, "KEY": KEY}
    assert json.loads(host.run("sh", "-c", command, user="grid-exporter", env=env)) == {"requested": id_}
    until(lambda: left(host, "outcome").get("id") == id_)
    assert left(host, "outcome")["success"]
    assert changes(check(host)) == {}


def test_it_is_root_who_accepts_by_hand(host: World) -> None:
    """`aide show` prints the command that accepts, and root can give it."""
    host.run("sh", "-c", "echo by hand >/srv/tree/by-hand")
    found = check(host)
    line = f"sudo grid-exporter aide accept {found['id']}"
    assert line in host.try_run("grid-exporter", "aide", "show").stdout
    host.run(*line.split()[1:])
    assert changes(check(host)) == {}
