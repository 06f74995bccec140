"""Requests that no sane client sends: each is answered or dropped, and costs nobody else anything."""

from __future__ import annotations

import contextlib
import http.client
import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Daemon, daemon
from tests.faults.vitals import Vitals, scraped, vitals

TIMEOUT = 100.0


def asks(line: bytes, *headers: bytes, body: bytes = b"") -> bytes:
    """A request with a Host."""
    return b"\r\n".join([line + b" HTTP/1.1", b"Host: x", *headers, b"", body])


METRICS, POST = b"GET /metrics", b"POST /metrics"
CHUNKED = b"Transfer-Encoding: chunked"

# What is sent, and the status of the answer.
REQUESTS: dict[str, tuple[bytes, int]] = {
    "a URL of 100 KB": (asks(METRICS + b"?" + b"a" * 100_000), 400),
    "a header of 1 MB": (asks(METRICS, b"A: " + b"b" * 1_000_000), 400),
    "100,000 headers": (asks(METRICS, *[b"A: b"] * 100_000), 400),
    "a method of 100 KB": (asks(b"F" * 100_000 + b" /metrics"), 400),
    "a method of its own": (asks(b"FOO /metrics"), 400),
    "60 headers of 1 KB": (asks(METRICS, *[b"A%d: " % n + b"b" * 1000 for n in range(60)]), 200),
    "60 headers of 2 KB": (asks(METRICS, *[b"A%d: " % n + b"b" * 2000 for n in range(60)]), 400),
    "1,000 empty lines before it": (b"\r\n" * 1000 + asks(METRICS), 200),
    "100,000 empty lines before it": (b"\r\n" * 100_000 + asks(METRICS), 400),
    "rubbish": (bytes(range(256)) * 400, 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\1" * 500, 400),
    "HTTP/1.0": (b"GET /metrics HTTP/1.0\r\n\r\n", 200),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "HTTP/2.0": (b"GET /metrics HTTP/2.0\r\nHost: x\r\n\r\n", 505),
    "HTTP/0.9": (b"GET /metrics HTTP/0.9\r\nHost: x\r\n\r\n", 505),
    "HTTP/0.9 as it was": (b"GET /metrics\r\n\r\n", 505),
    "HTTP/3.0": (b"GET /metrics HTTP/3.0\r\nHost: x\r\n\r\n", 400),
    "no host": (b"GET /metrics HTTP/1.1\r\n\r\n", 400),
    "two hosts": (asks(METRICS, b"Host: y"), 400),
    "another host in the URL": (asks(b"GET http://evil/metrics"), 200),
    "a URL that is none": (asks(b"GET http://evil:abc/metrics"), 400),
    "two slashes": (asks(b"GET //metrics"), 404),
    "a path with dots": (asks(b"GET /-/../metrics"), 404),
    "an escaped path": (asks(b"GET /%6detrics"), 200),
    "hostile bytes, escaped, in the path": (asks(b"GET /%00%ff%0d%0aX:y"), 404),
    "hostile bytes in the path": (asks(b"GET /m\xff\xfe"), 400),
    "hostile bytes in the query": (asks(b"GET /metrics?collect[]=\xff"), 400),
    "escapes that are no UTF-8": (asks(b"GET /metrics?collect[]=%ff%ed%a0%80%zz"), 400),
    "a header in the query": (asks(b"GET /metrics?collect[]=a%0d%0aX-Evil:%201"), 400),
    "500 times the same probe": (asks(b"GET /metrics?" + b"&".join([b"collect[]=host"] * 500)), 200),
    "10,000 probes": (asks(b"GET /metrics?" + b"&".join([b"collect[]=host"] * 10_000)), 400),
    "two lengths": (asks(POST, b"Content-Length: 6", b"Content-Length: 5", body=b"0\r\n\r\nG"), 400),
    "a length and chunks": (asks(POST, b"Content-Length: 6", CHUNKED, body=b"0\r\n\r\nG"), 400),
    "two encodings": (asks(POST, CHUNKED, b"Transfer-Encoding: identity", body=b"0\r\n\r\n"), 400),
    "an encoding that is none": (asks(POST, b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"), 400),
    "a negative length": (asks(POST, b"Content-Length: -6"), 400),
    "a blank before the colon": (asks(METRICS, b"A : b"), 400),
    "a header over two lines": (asks(METRICS, b"A: b\r\n c"), 400),
    "newlines alone": (asks(METRICS).replace(b"\r", b""), 400),
    "CONNECT": (asks(b"CONNECT evil:443"), 404),
    "OPTIONS": (asks(b"OPTIONS *"), 404),
    "TRACE": (asks(b"TRACE /metrics"), 405),
    "an upgrade and 1 MB": (
        asks(METRICS, b"Connection: upgrade", b"Upgrade: h2c", body=b"x" * 1_000_000),
        200,
    ),
    "a web socket": (
        asks(METRICS, b"Connection: upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"),
        200,
    ),
    "an expectation": (asks(METRICS, b"Expect: cake"), 417),
    "a body of 10 MB": (asks(METRICS, b"Content-Length: 10000000", body=b"x" * 10_000_000), 200),
    "a body that is no gzip": (
        asks(POST, b"Content-Encoding: gzip", b"Content-Length: 5", body=b"abcde"),
        405,
    ),
    "a chunk whose head never ends": (asks(POST, CHUNKED, body=b"5;" + b"x" * 5_000_000), 405),
    "a timeout that is none": (asks(METRICS, b"X-Prometheus-Scrape-Timeout-Seconds: \xff\xfe"), 200),
}


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One exporter that suffers all requests of this file."""
    with daemon(tmp_path_factory.mktemp("http"), "probes: {host: {}}\n") as running:
        running.wait_logged("for you")
        yield running


@pytest.fixture
def before(exporter: Daemon) -> Iterator[Vitals]:
    """How the exporter was; afterwards it must be as before: nothing leaks, nothing is logged."""
    logged = exporter.log.read_text()
    was = vitals(exporter)
    yield was
    end = time.monotonic() + TIMEOUT
    while (now := vitals(exporter)).descriptors > was.descriptors or now.children:
        assert time.monotonic() < end, f"{was} became {now}"
        time.sleep(0.05)
    assert now.threads <= was.threads + 2
    assert now.memory < was.memory + 32 * 1024 * 1024
    assert exporter.log.read_text() == logged
    assert scraped(exporter)


def connect(exporter: Daemon) -> socket.socket:
    return socket.create_connection(("127.0.0.1", exporter.port), TIMEOUT)


def answer_to(exporter: Daemon, request: bytes) -> int:
    """The status that comes back. A server may answer before all is sent, and close."""
    with connect(exporter) as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(request)
        line = b""
        while not line.endswith(b"\n"):
            line += client.recv(1)
    return int(line.split()[1])


@pytest.mark.parametrize("name", REQUESTS)
def test_whatever_is_asked_has_its_answer(exporter: Daemon, before: Vitals, name: str) -> None:
    """Too long, too many, twofold, misspelt or smuggled: one status, no trace, and nothing stays behind."""
    request, status = REQUESTS[name]
    assert answer_to(exporter, request) == status


def test_requests_one_behind_the_other_are_all_answered(exporter: Daemon, before: Vitals) -> None:
    """Pipelining a thousand requests does no harm, and others are served meanwhile."""
    with connect(exporter) as client:
        client.sendall(asks(b"GET /-/healthy") * 1000)
        assert scraped(exporter)
        got = b""
        while got.count(b"healthy\n") < 1000:
            got += client.recv(1 << 16)


def test_endless_requests_whose_answers_nobody_reads(exporter: Daemon, before: Vitals) -> None:
    """Who asks on and on and never reads is made to wait; memory does not pay for it."""
    with connect(exporter) as client:
        client.settimeout(0.5)
        with pytest.raises(TimeoutError):  # noqa: PT012 - the first that blocks raises
            while True:
                client.sendall(asks(METRICS) * 1000)
        assert scraped(exporter)
        assert vitals(exporter).memory < before.memory + 32 * 1024 * 1024


def test_endless_bodies(exporter: Daemon, before: Vitals) -> None:
    """What nobody asked for is not kept: 200 MB of a body, in chunks and at once."""
    for header in (CHUNKED, b"Content-Length: 1000000000000"):
        with connect(exporter) as client, contextlib.suppress(ConnectionError, TimeoutError):
            client.settimeout(1)
            client.sendall(asks(POST, header))
            for _ in range(200):
                client.sendall(b"100000\r\n" + b"x" * 0x100000 + b"\r\n")
        assert vitals(exporter).memory < before.memory + 32 * 1024 * 1024


def test_endless_different_questions(exporter: Daemon, before: Vitals) -> None:
    """A thousand questions that differ take no scrape's turn; how few are kept is shown in test_scrape."""
    client = http.client.HTTPConnection("127.0.0.1", exporter.port, timeout=TIMEOUT)
    for number in range(1000):
        known = number % 2
        client.request("GET", f"/metrics?collect[]={'host' if known else number}&{number}={'x' * 4000}")
        answer = client.getresponse()
        assert answer.read()
        assert answer.status == (200 if known else 400)
        if number % 100 == 99:
            assert scraped(exporter)
    client.close()


def test_requests_abandoned_half_way(exporter: Daemon, before: Vitals) -> None:
    """Whoever hangs up in the middle, with or without a good-bye, is forgotten."""
    request = asks(METRICS, b"Accept-Encoding: gzip")
    for length in range(1, len(request) + 1):
        with connect(exporter) as client:
            client.sendall(request[:length])
            if length % 2:  # a reset in place of an end
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


@pytest.mark.parametrize("begun", [b"", b"GET /metr", asks(POST, b"Content-Length: 9")])
def test_a_thousand_connections(exporter: Daemon, before: Vitals, begun: bytes) -> None:
    """Idle, half-open or waiting with a body: scrapes on new connections are answered."""
    with contextlib.ExitStack() as stack:
        for number in range(1000):
            client = stack.enter_context(connect(exporter))
            with contextlib.suppress(ConnectionError):
                client.sendall(begun)
            if number % 200 == 199:
                assert scraped(exporter)
        assert vitals(exporter).descriptors < before.descriptors + 300


def test_a_thousand_slow_senders(exporter: Daemon, before: Vitals) -> None:
    """One byte at a time from each, all at once; those for whom there is no room are dropped."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(exporter)) for _ in range(1000)]
        for byte in METRICS + b" HTTP/1.1":
            for client in clients:
                with contextlib.suppress(ConnectionError):
                    client.sendall(bytes([byte]))
            assert scraped(exporter)
        assert vitals(exporter).descriptors < before.descriptors + 300


def test_random_bytes(exporter: Daemon, before: Vitals) -> None:
    """A request with some of its bytes changed gets an answer or an end, never a trace."""
    good = asks(b"GET /metrics?collect[]=host", b"Accept-Encoding: gzip", b"Connection: close")
    rng = random.Random(1)  # noqa: S311 - not for secrets
    for _ in range(300):
        request = bytearray(good)
        for _change in range(4):
            request[rng.randrange(len(good))] = rng.randrange(256)
        with connect(exporter) as client, contextlib.suppress(ConnectionError):
            client.sendall(request)
            client.shutdown(socket.SHUT_WR)
            while client.recv(1 << 16):
                pass


def test_large_answers_that_nobody_reads(tmp_path: Path) -> None:
    """Two hundred unread answers of 2 MB share one buffer, and a scrape meanwhile is whole."""
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\nseq -f 'big_value{number=\"%.0f\"} 1' 30000\n")
    tool.chmod(0o755)
    config = f"probes: {{commands: [{{name: big, argv: [{tool}], ttl: 10m, timeout: 1m}}]}}\n"
    with daemon(tmp_path, config) as exporter, contextlib.ExitStack() as stack:
        end = time.monotonic() + TIMEOUT
        while len(exporter.get()[1]) < 1_000_000:
            assert time.monotonic() < end
        memory = vitals(exporter).memory
        for _ in range(200):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", exporter.port))
            client.sendall(asks(METRICS))
        assert exporter.get()[1].count("\nbig_value{") == 30_000
        assert vitals(exporter).memory < memory + 100 * 1024 * 1024


def test_no_descriptors_left(tmp_path: Path) -> None:
    """With room for 64 files a thousand connections leave the tools theirs, and the log is not flooded."""
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\necho tool_works 1\n")
    tool.chmod(0o755)
    config = f"probes: {{host: {{}}, commands: [{{name: tool, argv: [{tool}], ttl: 1s}}]}}\n"
    with (
        daemon(tmp_path, config, through=("prlimit", "--nofile=64")) as exporter,
        contextlib.ExitStack() as stack,
    ):
        for _ in range(1000):
            stack.enter_context(connect(exporter))
        end = time.monotonic() + TIMEOUT
        while scraped(exporter)['grid_probe_runs_total{outcome="success",probe="command:tool"}'] < 3:
            assert time.monotonic() < end
            time.sleep(0.2)
        assert scraped(exporter)['grid_probe_success{probe="command:tool"}'] == 1
        assert "Traceback" not in exporter.log.read_text()
        assert len(exporter.log.read_text().splitlines()) < 40
