import asyncio
import os
import ssl
import sys
from pathlib import Path

import pytest

from tests.probes.llm.replay import Answer, Replay, serving
from tests.web.certificates import Certificates

MODELS = {"/v1/models": Answer('{"object": "list", "data": [{"id": "qwen3:8b", "object": "model"}]}')}


@pytest.mark.parametrize(("trusted", "up"), [("ca.crt", "1.0"), ("stranger.crt", "0.0")])
async def test_https_needs_a_certificate_that_the_machine_trusts(
    tmp_path: Path, trusted: str, up: str
) -> None:
    """Aiohttp is loaded without the machine's certificates, which a server by https is held against."""
    Certificates(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    async with serving(Replay(MODELS), tls=tls) as server:
        config = tmp_path / "config.yml"
        one = f"{{name: a, url: '{server.url}', kind: openai}}"
        config.write_text(f"probes: {{llm: {{servers: [{one}]}}}}\n")
        command = [sys.executable, "-m", "exporter", f"--config.file={config}", "probe", "llm"]
        env = {**os.environ, "SSL_CERT_FILE": str(tmp_path / trusted), "SSL_CERT_DIR": str(tmp_path / "none")}
        process = await asyncio.create_subprocess_exec(*command, env=env, stdout=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()
    assert f'grid_llm_up{{server="a"}} {up}' in output.decode()
