import os
import subprocess
import sys
from pathlib import Path

from tests.web.certificates import Certificates

PROGRAM = """
import asyncio, ssl
from exporter.system import http_library

async def main():
    await asyncio.gather(http_library.load(), http_library.load())

asyncio.run(main())
from aiohttp import connector
unread = connector._SSL_CONTEXT_VERIFIED, connector._SSL_CONTEXT_UNVERIFIED
print([context.cert_store_stats()["x509"] for context in unread])
print(asyncio.run(http_library.verifying_context()).cert_store_stats()["x509"])
print(ssl.create_default_context().cert_store_stats()["x509"])
"""


def test_aiohttp_is_imported_without_certificates(tmp_path: Path) -> None:
    """Its own contexts are empty; ours and all that are made later hold the one that the machine trusts."""
    Certificates(tmp_path)
    env = {**os.environ, "SSL_CERT_FILE": str(tmp_path / "ca.crt"), "SSL_CERT_DIR": str(tmp_path / "none")}
    output = subprocess.check_output([sys.executable, "-c", PROGRAM], text=True, env=env)
    assert output.splitlines() == ["[0, 0]", "1", "1"]
