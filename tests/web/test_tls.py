import asyncio
import contextlib
import os
import socket
import ssl
import warnings
from pathlib import Path

import pytest
import trustme

from exporter.config.strict_yaml import ConfigError
from exporter.web import tls
from exporter.web.tls import CURVES, server_context
from exporter.web.web_config import TlsConfig, parse
from tests.crowd import GET, crowd
from tests.scripted import Script
from tests.web.certificates import Certificates

# Go's names of suites, and OpenSSL's.
SUITES = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
}
SUITES_13 = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}


def config(certificates: Certificates, more: str = "", *, clients: bool = False) -> TlsConfig:
    tls = parse(certificates.server(clients=clients, more=more)).tls_server_config
    assert tls is not None
    return tls


def shake_hands(
    server: ssl.SSLContext, client: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> ssl.SSLObject:
    """A whole handshake in memory, that takes up a session if need be; returns the client's side."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = server.wrap_bio(to_server, to_client, server_side=True)
    theirs = client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1", session=session)
    for side in (theirs, ours, theirs, ours, theirs):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    ours.write(b"x")
    theirs.read(1)
    return theirs


def test_by_default_tls_is_1_2_or_newer(tmp_path: Path) -> None:
    """The best version that both know is taken, and nothing below 1.2."""
    certificates = Certificates(tmp_path)
    server = server_context(config(certificates), tmp_path)
    assert shake_hands(server, certificates.client_context()).version() == "TLSv1.3"
    assert server.minimum_version == ssl.TLSVersion.TLSv1_2


def test_versions_and_suites_go_by_gos_names(tmp_path: Path) -> None:
    """min_version, max_version and cipher_suites take effect."""
    certificates = Certificates(tmp_path)
    more = ", max_version: TLS12, cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]"
    side = shake_hands(server_context(config(certificates, more), tmp_path), certificates.client_context())
    assert side.version() == "TLSv1.2"
    assert side.cipher() == ("ECDHE-ECDSA-AES128-GCM-SHA256", "TLSv1.2", 128)
    old = certificates.client_context()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        shake_hands(server_context(config(certificates, ", min_version: TLS13"), tmp_path), old)


@pytest.mark.parametrize("suite", SUITES)
def test_a_suite_is_known_by_gos_name(tmp_path: Path, suite: str) -> None:
    """It alone is then offered for TLS 1.2."""
    context = server_context(config(Certificates(tmp_path), f", cipher_suites: [{suite}]"), tmp_path)
    names = [cipher["name"] for cipher in context.get_ciphers() if cipher["name"] not in SUITES_13]
    assert names == [SUITES[suite]]


def test_the_default_suites_are_gos(tmp_path: Path) -> None:
    """Those with authenticated encryption, and no others."""
    context = server_context(config(Certificates(tmp_path)), tmp_path)
    names = {cipher["name"] for cipher in context.get_ciphers()} - SUITES_13
    assert names == {openssl for go, openssl in SUITES.items() if "_CBC_" not in go}


def supported(curve: str) -> bool:
    """Whether this Python's OpenSSL can be limited to the curve; Debian 12's has no X25519 here."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ecdh_curve(CURVES[curve])
    except ssl.SSLError:
        return False
    return True


@pytest.mark.parametrize("curve", CURVES)
def test_the_one_curve_is_the_one_agreed_on(tmp_path: Path, curve: str) -> None:
    """A client that knows no other one comes in, and one that knows only another one does not."""
    certificates = Certificates(tmp_path)
    if not supported(curve):
        with pytest.raises(ConfigError, match="the curve can't be had here"):
            server_context(config(certificates, f", curve_preferences: [{curve}]"), tmp_path)
        return
    server = server_context(config(certificates, f", curve_preferences: [{curve}]"), tmp_path)
    for name, openssl in ((name, CURVES[name]) for name in filter(supported, CURVES)):
        client = certificates.client_context()
        client.set_ecdh_curve(openssl)
        if name == curve:
            assert shake_hands(server, client)
        else:
            with pytest.raises(ssl.SSLError):
                shake_hands(server, client)


def test_all_suites_may_be_named_at_once(tmp_path: Path) -> None:
    """As a file has them that was written for Go; each of TLS 1.2 that fits the key is then had."""
    certificates = Certificates(tmp_path)
    more = f", cipher_suites: [{', '.join([*SUITES, *sorted(SUITES_13)])}]"
    server = server_context(config(certificates, more), tmp_path)
    assert shake_hands(server, certificates.client_context()).version() == "TLSv1.3"
    assert agreed(server, certificates, SUITES) == {suite for go, suite in SUITES.items() if "ECDSA" in go}


def test_an_rsa_key_has_rsa_suites(tmp_path: Path) -> None:
    """Most certificates that people have are RSA's."""
    certificates = Certificates(tmp_path)
    certificates.issue("server", certificates.ca, trustme.KeyType.RSA)
    more = f", cipher_suites: [{', '.join(SUITES)}]"
    server = server_context(config(certificates, more), tmp_path)
    assert agreed(server, certificates, SUITES) == {suite for go, suite in SUITES.items() if "_RSA_" in go}
    assert shake_hands(server_context(config(certificates), tmp_path), certificates.client_context())


def agreed(server: ssl.SSLContext, certificates: Certificates, suites: dict[str, str]) -> set[str]:
    """The suites that a client of TLS 1.2 gets which knows but this one."""
    found = set()
    for suite in suites.values():
        client = certificates.client_context()
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        client.set_ciphers(suite)
        with contextlib.suppress(ssl.SSLError):
            found.add((shake_hands(server, client).cipher() or [""])[0])
    return found


def test_a_client_certificate_is_checked_at_every_connection(tmp_path: Path) -> None:
    """TLS 1.3 resumes no session where one is required; of TLS 1.2 a request on a resumed one is refused."""
    certificates = Certificates(tmp_path)
    server = server_context(config(certificates, clients=True), tmp_path)
    client = certificates.client_context("client")
    first = shake_hands(server, client)
    assert first.session is None or not first.session.has_ticket
    assert not shake_hands(server, client, first.session).session_reused


@pytest.mark.parametrize("clients", [True, False])
async def test_a_resumed_session_of_tls_1_2_shows_no_certificate(
    tmp_path: Path,
    clients: bool,  # noqa: FBT001
) -> None:
    """Its certificate, which may have expired since, is not seen again: only a new session will do."""
    certificates = Certificates(tmp_path)
    (tmp_path / "web.yml").write_text(certificates.server(clients=clients))
    context = certificates.client_context("client")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with crowd(Script(), web_config=tmp_path / "web.yml") as visitors:
        statuses, taken_up = await asyncio.to_thread(twice, context, visitors.address)
        assert statuses == ([200, 403] if clients else [200, 200])
        assert await visitors.scrape(tls=context) == 200
    assert taken_up


def twice(context: ssl.SSLContext, address: tuple[str, int]) -> tuple[list[int], bool]:
    """Two scrapes' statuses, the second of which takes up the first one's session; and whether it did."""
    statuses, session, reused = [], None, None
    with contextlib.ExitStack() as block:  # a session whose connection ends without a word is forgotten
        for _ in range(2):
            plain = block.enter_context(socket.create_connection(address, 20))
            wrapped = context.wrap_socket(plain, server_hostname="127.0.0.1", session=session)
            block.enter_context(wrapped).sendall(GET)
            statuses.append(int(wrapped.recv(100).split()[1]))
            session, reused = wrapped.session, wrapped.session_reused
    return statuses, bool(reused)


def test_client_certificates_are_verified(tmp_path: Path) -> None:
    """Only one of the configured CA comes in: none at all and a stranger's are refused."""
    certificates = Certificates(tmp_path)
    server = server_context(config(certificates, clients=True), tmp_path)
    shake_hands(server, certificates.client_context("client"))
    for name in (None, "stranger"):
        with pytest.raises(ssl.SSLError):
            shake_hands(server, certificates.client_context(name))


def test_a_ca_under_another_one_is_enough(tmp_path: Path) -> None:
    """An intermediate CA alone in client_ca_file lets its certificates in, as with Go, and not its root's."""
    certificates = Certificates(tmp_path)
    scrapers = certificates.ca.create_child_ca()
    certificates.issue("client", scrapers)
    certificates.issue("other", certificates.ca)
    tls = config(certificates, clients=True)
    (tmp_path / "ca.crt").write_bytes(scrapers.cert_pem.bytes())
    server = server_context(tls, tmp_path)
    certificates.ca.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    assert shake_hands(server, certificates.client_context("client"))
    with pytest.raises(ssl.SSLError):
        shake_hands(server, certificates.client_context("other"))


SANS = {
    "the name itself": ("[prometheus.test]", 200),
    "one of several": ("[other.test, prometheus.test]", 200),
    "an address": ("['192.0.2.7']", 200),
    "an IPv6 address": ("['2001:db8::7']", 200),
    "another name": ("[other.test]", 403),
    "part of the name": ("[prometheus]", 403),
    "a pattern": ("['*.test']", 403),
    "no name": ("[]", 403),
    "any name": ("", 200),
}


@pytest.mark.parametrize("case", SANS)
@pytest.mark.parametrize("path", ["/metrics", "/-/aide/report"])
async def test_client_certificates_need_an_allowed_name(tmp_path: Path, case: str, path: str) -> None:
    """One of the subject alternative names is compared whole, as the exporter-toolkit does."""
    allowed, status = SANS[case]
    certificates = Certificates(tmp_path)
    leaf = certificates.ca.issue_cert("prometheus.test", "192.0.2.7", "2001:db8::7")
    leaf.private_key_pem.write_to_path(str(tmp_path / "client.key"))
    leaf.cert_chain_pems[0].write_to_path(str(tmp_path / "client.crt"))
    more = f", client_allowed_sans: {allowed}"
    (tmp_path / "web.yml").write_text(certificates.server(clients=True, more=more))
    async with crowd(Script(), web_config=tmp_path / "web.yml") as visitors, asyncio.timeout(100):
        request = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        client = await visitors.connect(request, tls=certificates.client_context("client"))
        assert await client.status() == (404 if status == 200 and "aide" in path else status)


NOTHING_IN_COMMON = {
    "version": (", min_version: TLS13", "", ssl.TLSVersion.TLSv1_2, ""),
    "old version": ("", "", ssl.TLSVersion.TLSv1_1, ""),
    "TLS 1.2, with suites of TLS 1.3 alone": (
        ", cipher_suites: [TLS_AES_256_GCM_SHA384]",
        "",
        ssl.TLSVersion.TLSv1_2,
        "",
    ),
    "suite": (
        ", cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        ssl.TLSVersion.TLSv1_2,
        "",
    ),
    "curve": (", curve_preferences: [CurveP521]", "", ssl.TLSVersion.TLSv1_3, "prime256v1"),
}


@pytest.mark.parametrize("name", NOTHING_IN_COMMON)
def test_where_nothing_is_in_common_there_is_no_connection(tmp_path: Path, name: str) -> None:
    """What the file forbids is not had all the same."""
    more, suite, version, curve = NOTHING_IN_COMMON[name]
    certificates = Certificates(tmp_path)
    client = certificates.client_context()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # an old version is the point
        client.minimum_version = ssl.TLSVersion.TLSv1
        client.maximum_version = version
    if suite:
        client.set_ciphers(suite)
    if curve:
        client.set_ecdh_curve(curve)
    with pytest.raises(ssl.SSLError):
        shake_hands(server_context(config(certificates, more), tmp_path), client)


@pytest.mark.parametrize("servers_choice", ["true", "false"])
def test_whose_order_of_suites_counts(tmp_path: Path, servers_choice: str) -> None:
    """The server's by default, the client's with prefer_server_cipher_suites: false."""
    certificates = Certificates(tmp_path)
    suites = ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]
    more = f", max_version: TLS12, cipher_suites: [{', '.join(suites)}]"
    more += f", prefer_server_cipher_suites: {servers_choice}"
    client = certificates.client_context()
    client.set_ciphers(":".join(SUITES[name] for name in reversed(suites)))
    agreed = shake_hands(server_context(config(certificates, more), tmp_path), client).cipher()
    assert agreed
    assert agreed[0] == SUITES[suites[0 if servers_choice == "true" else 1]]


@pytest.mark.parametrize("content", ["", "no certificate\n"])
def test_a_ca_file_without_a_ca_is_refused(tmp_path: Path, content: str) -> None:
    """It would verify nobody, or everybody."""
    certificates = Certificates(tmp_path)
    tls = config(certificates, clients=True)
    (tmp_path / "ca.crt").write_text(content)
    with pytest.raises(ConfigError, match="certificates can't be used"):
        server_context(tls, tmp_path)


def test_certificates_may_stand_in_the_file_itself(tmp_path: Path) -> None:
    """Cert and key in place of cert_file and key_file."""
    certificates = Certificates(tmp_path)
    cert, key = ((tmp_path / f"server.{kind}").read_text() for kind in ("crt", "key"))
    server = server_context(TlsConfig(cert=cert, key=key), Path("/nonexistent"))
    assert shake_hands(server, certificates.client_context())


def test_a_key_in_the_file_may_belong_to_a_certificate_beside_it(tmp_path: Path) -> None:
    """Each is one or the other by itself."""
    certificates = Certificates(tmp_path)
    key = (tmp_path / "server.key").read_text()
    assert shake_hands(
        server_context(TlsConfig(cert_file="server.crt", key=key), tmp_path), certificates.client_context()
    )


def test_a_ca_in_the_file_verifies(tmp_path: Path) -> None:
    """client_ca in place of client_ca_file lets in and keeps out the same."""
    certificates = Certificates(tmp_path)
    ca = (tmp_path / "ca.crt").read_text()
    policy = "RequireAndVerifyClientCert"
    tls = TlsConfig(cert_file="server.crt", key_file="server.key", client_auth_type=policy, client_ca=ca)
    server = server_context(tls, tmp_path)
    assert shake_hands(server, certificates.client_context("client"))
    for name in (None, "stranger"):
        with pytest.raises(ssl.SSLError):
            shake_hands(server, certificates.client_context(name))


@pytest.mark.parametrize("name", ["server.crt", "server.key", "ca.crt"])
def test_a_file_that_is_missing_is_named(tmp_path: Path, name: str) -> None:
    """Whichever of the three it is, with the others there."""
    tls = config(Certificates(tmp_path), clients=True)
    (tmp_path / name).unlink()
    with pytest.raises(ConfigError, match=f"tls_server_config: .*{name}: No such file"):
        server_context(tls, tmp_path)


WHERE = "tls_server_config"
ONE_CURVE = "expected one of CurveP256, CurveP384, CurveP521, X25519"
BAD = {
    "min_version: TLS10": f"{WHERE}.min_version: expected TLS12 or TLS13, got 'TLS10'",
    "min_version: TLS1.2": f"{WHERE}.min_version: expected TLS12 or TLS13, got 'TLS1.2'",
    "max_version: TLS111": f"{WHERE}.max_version: expected TLS12 or TLS13, got 'TLS111'",
    "max_version: TLS12, cipher_suites: [TLS_AES_128_GCM_SHA256]": (
        f"{WHERE}.cipher_suites: TLS 1.2, which is max_version, has none of these"
    ),
    "min_version: TLS13, max_version: TLS12": f"{WHERE}: min_version is above max_version",
    "cipher_suites: [RC4]": f"{WHERE}.cipher_suites: 'RC4' is not supported here",
    "cipher_suites: [TLS_ECDHE_RSA_WITH_RC4_128_SHA]": (
        f"{WHERE}.cipher_suites: 'TLS_ECDHE_RSA_WITH_RC4_128_SHA' is not supported here"
    ),
    "cipher_suites: ['ALL:eNULL']": f"{WHERE}.cipher_suites: 'ALL:eNULL' is not supported here",
    "curve_preferences: [P256]": f"{WHERE}.curve_preferences: {ONE_CURVE}, got P256",
    "curve_preferences: [CurveP256, P1]": f"{WHERE}.curve_preferences: {ONE_CURVE}, got CurveP256, P1",
}


@pytest.mark.parametrize("more", BAD)
def test_what_is_unsupported_is_refused_by_name(tmp_path: Path, more: str) -> None:
    """Nothing is quietly weaker than the file says."""
    with pytest.raises(ConfigError) as error:
        server_context(config(Certificates(tmp_path), f", {more}"), tmp_path)
    assert str(error.value) == BAD[more]


def test_a_key_that_does_not_fit_is_a_clear_error(tmp_path: Path) -> None:
    """A wrong, broken or encrypted key is named, without a question on the terminal."""
    certificates = Certificates(tmp_path)
    (tmp_path / "server.key").write_bytes((tmp_path / "client.key").read_bytes())
    with pytest.raises(
        ConfigError, match=r"certificates can't be used: (KEY_VALUES_MISMATCH|key values mismatch)"
    ):
        server_context(config(certificates), tmp_path)
    (tmp_path / "server.key").write_text("rubbish")
    with pytest.raises(ConfigError, match="certificates can't be used"):
        server_context(config(certificates), tmp_path)


def test_what_openssl_lacks_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A suite that this OpenSSL does not have, as under FIPS rules, is a mistake like any other."""
    suite = "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"
    monkeypatch.setattr(tls, "_openssl_name", lambda _: "NOT-BUILT-IN")
    with pytest.raises(ConfigError, match="tls_server_config: the suites or the curve can't be had here"):
        server_context(config(Certificates(tmp_path), f", cipher_suites: [{suite}]"), tmp_path)


@pytest.mark.parametrize("name", ["server.crt", "server.key", "ca.crt"])
def test_what_anyone_may_write_is_refused(tmp_path: Path, name: str) -> None:
    """Whoever may replace a certificate, key or CA decides who gets in."""
    tls = config(Certificates(tmp_path), clients=True)
    (tmp_path / name).chmod(0o666)
    with pytest.raises(ConfigError, match=f"{name}: anyone may write it: chmod o-w /.*{name}$"):
        server_context(tls, tmp_path)


@pytest.mark.parametrize("name", ["server.crt", "server.key", "ca.crt"])
def test_a_fifo_is_no_certificate(tmp_path: Path, name: str) -> None:
    """Nobody waits for somebody to write into it."""
    tls = config(Certificates(tmp_path), clients=True)
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(ConfigError, match=f"tls_server_config: .*{name}: it is no regular file"):
        server_context(tls, tmp_path)
