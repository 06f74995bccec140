"""A box on which a check has succeeded: a active database, a candidate beside it, and the summary."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from exporter.aide.accept_request import Request
from exporter.aide.database import trust
from exporter.aide.files import Paths
from exporter.aide.lock import Command, exclusive
from exporter.aide.proof import make_proof
from exporter.aide.summary import Finding, Summary, save
from exporter.system import files

KEY = "k" * 32
CAPTURES = Path(__file__).parent.parent / "captures" / "aide"


def database(*names: str) -> bytes:
    """A whole AIDE database that describes files of these names."""
    lines = [
        "@@begin_db",
        "# a comment",
        "@@db_spec name perm size ",
        *(f"/{name} 100644 1" for name in names),
    ]
    return "\n".join([*lines, "@@end_db", ""]).encode()


# What accepting and checking change the disk by, as Python names it.
CHANGING = {
    "open", "unlink", "replace", "rename", "link", "mkdir", "rmdir", "fchmod", "fchown", "utime",
    "BufferedWriter.write", "BufferedWriter.flush",
}  # fmt: skip


@dataclass(frozen=True)
class Store:
    """The files, and their content."""

    paths: Paths
    database: Path
    old: bytes
    new: bytes

    @property
    def id(self) -> str:
        """The candidate's."""
        return sha256(self.new).hexdigest()

    @property
    def key_file(self) -> Path:
        """Root's key for proofs."""
        return self.paths.private / "key"

    def request(self) -> Request:
        """What a person sends who has reviewed the summary."""
        proof = make_proof(self.paths.summary.read_bytes(), KEY.encode())
        return Request(self.id, proof)


def make(root: Path) -> Store:
    """What a check leaves that found one added file."""
    old, new = database("a", "b"), database("a", "b", "c")
    store = Store(Paths(root / "state"), root / "lib" / "aide.db", old, new)
    store.paths.private.mkdir(parents=True, mode=0o700)
    store.database.parent.mkdir()
    store.database.write_bytes(old)
    store.database.chmod(0o604)
    store.paths.candidate(store.id).write_bytes(new)
    trust(store.paths, store.database, sha256(old).hexdigest())
    save(store.paths.summary, summary(store))
    files.write(store.key_file, f"{KEY}\n".encode(), files.PRIVATE)
    return store


def summary(store: Store, **changes: Any) -> Summary:
    """The summary of that check, or of one like it."""
    facts: dict[str, Any] = {
        "success": True, "started": 1000.0, "ended": 1003.5, "exit_code": 1, "id": store.id,
        "total": 3, "added": 1, "findings": (Finding("added", "/c", "f"),),
        "database": str(store.database), "database_sha256": sha256(store.old).hexdigest(),
        "database_timestamp": 900.0,
    }  # fmt: skip
    return Summary(**{**facts, **changes})


def killed_before(step: int, do: Callable[[], object]) -> bool:
    """Runs ``do`` in a child that is killed (SIGKILL) right before its ``step``th call that changes anything.

    Returns:
        Whether it was killed; False means that it ended before it came to that call.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork, with pytest's threads around
        pid = os.fork()
    if pid == 0:
        calls = 0

        def count(_: object, event: str, function: Any) -> None:
            nonlocal calls
            if event == "c_call" and function.__qualname__ in CHANGING:
                calls += 1
                if calls == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        with contextlib.suppress(BaseException):
            sys.setprofile(count)
            do()
            sys.setprofile(None)
            os._exit(0)
        os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in {0, -signal.SIGKILL}
    return code != 0


def killed_in(command: Command, paths: Paths) -> None:
    """Leaves what a command leaves that is killed while it holds the lock."""

    def die() -> None:
        with exclusive(paths, command):
            os.kill(os.getpid(), signal.SIGKILL)

    assert killed_before(0, die)
