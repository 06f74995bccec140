"""Proof that a person has reviewed the last check, for root: the exporter only passes it on.

It is the HMAC-SHA256 of the summary, byte for byte, under a key that the person has and, of the box's users,
only root. So whoever takes over the exporter can neither make one, nor use one again for another check, nor
show the person another summary than root's.
"""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

from exporter.probe import ProbeError
from exporter.system.secret_files import read_secret

KEY_FILE = Path("/etc/grid-exporter/aide-accept-key")


def make_proof(summary: bytes, key: bytes) -> str:
    """The proof in hex digits, as from: ``openssl dgst -sha256 -hmac KEY summary.json``."""
    return hmac.new(key, summary, hashlib.sha256).hexdigest()


def verify(proof: str, summary: bytes, key_file: Path = KEY_FILE) -> None:
    """Returns where this is the proof of this summary.

    Raises:
        ProbeError: it is not, or there is no key that only root can read.
    """
    key = read_secret(key_file, 0o600, "root:root")
    if not hmac.compare_digest(proof, make_proof(summary, key)):
        raise ProbeError("the proof is wrong: made with another key, or of another summary than the last")


def command(id_: str, summary: Path) -> str:
    """The command that accepts over HTTP, on the box itself."""
    mac = f'openssl dgst -sha256 -hmac "$KEY" -r {summary} | cut -c1-64'
    body = f'\'{{"id": "{id_}", "proof": "\'$({mac})\'"}}\''
    return f'curl -H "Authorization: Bearer $TOKEN" --json {body} http://127.0.0.1:10058/-/aide/accept'
