"""Good texts to begin with, where no tool's capture is one."""

from __future__ import annotations

import json
from functools import cache

from tests.box.files import CAPTURES


@cache
def capture(path: str) -> bytes:
    """What a real tool said."""
    return (CAPTURES / path).read_bytes()


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


PRINTED = [
    b'# HELP a_total Help \\\\ with\\nescapes.\n# TYPE a_total counter\na_total{x="1",y="\\"\\\\\\n"} 1\n',
    b'# TYPE h histogram\nh_bucket{le="1"} 1\nh_bucket{le="+Inf"} 2\nh_sum 3\nh_count 2\n',
    b'# TYPE s summary\ns{quantile="0.5"} NaN\ns_sum -Inf\ns_count 2\n# a comment\n\nfree_text{a="b",} 1\n',
]

_ROOMS = [
    {"mount": 29, "size": 9000, "free": 500, "avail": 400},
    {"mount": 30, "size": 9, "free": 5, "avail": 4},
]
_WHOLE = {"size": 12, "models": {"a/b": 7, "\udcff": 5}, "errors": 1, "unread": [["/x", "no"]], "user": "u"}
_FAILED = {"failed": "Permission denied", "errno": 13, "user": "u", "closed": ["/a"]}
SCANNED = [_json({"rooms": _ROOMS, **_WHOLE}), _json({"rooms": _ROOMS[1:], **_FAILED})]

_FOUND = {
    "success": True,
    "started": 1.0,
    "ended": 2.5,
    "id": "ab" * 32,
    "total": 9,
    "added": 1,
    "changed": 2,
}
_FINDING = {"change": "added", "path": "/x", "kind": "f", "attributes": {"size": ["1", None]}}
AIDE = {
    "aide/summary.json": _json({**_FOUND, "database": "/x", "findings": [_FINDING]}),
    "aide/outcome.json": _json({"success": False, "timestamp": 3.0, "id": "ab" * 32, "reason": "no"}),
    "aide/running.json": _json({"command": "check", "pid": 4194305, "ticks": 7, "started": 5.0}),
}

CONFIGURATION = b"""\
probes:
  host: {}
  gpu: {ttl: 1m30s}
  disk: {directories: [/ai/models, "/srv/models"], ttl: 60s}
  tor: {socks: "127.0.0.1:9050", control: "unix:/run/tor/control"}
  containers: {command: [docker, -H, "tcp://127.0.0.1:2375"]}
  services: {categories: {ai: ["ollama.service", "vllm@*.service"]}}
  commands:
    - {name: ups, argv: [/usr/local/bin/ups-metrics], ttl: 30s, timeout: 5s}
"""

WEB_CONFIGURATION = b"""\
tls_server_config: {cert_file: a.crt, key_file: a.key, cipher_suites: [TLS_AES_128_GCM_SHA256]}
http_server_config: {http2: false, headers: {X-Frame-Options: deny, X-XSS-Protection: 1}}
basic_auth_users: {alice: $2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi}
bearer_token_files: [token]
"""

MANIFEST = b'{"schemaVersion":2,"config":{"digest":"sha256:1","size":5},"layers":[{"size":7},{"size":1}]}'

MEMBERSHIP = (
    b"12:cpu,cpuacct:/docker/" + b"ab" * 32 + b"\n0::/system.slice/docker-" + b"cd" * 32 + b".scope\n"
)
