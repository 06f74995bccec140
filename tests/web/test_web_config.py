import string
from pathlib import Path

import bcrypt
import pytest

from exporter.config.strict_yaml import ConfigError
from exporter.web.web_config import BCRYPT, HEADERS, load, parse
from tests.web.test_tls import SUITES, SUITES_13

HASH = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi"
TLS = "cert_file: a.crt, key_file: a.key"

NO_YAML = "this is no YAML; a value with special characters belongs in quotes"
POLICIES = "expected NoClientCert or RequireAndVerifyClientCert"

BAD: dict[str, tuple[str, str]] = {
    "no mapping": ("[]", "the file: expected a mapping or nothing, got a list"),
    "unknown key": ("tls_config: {}", "tls_config: unknown key"),
    "unknown TLS key": (
        f"tls_server_config: {{{TLS}, cert_fil: x}}",
        "tls_server_config.cert_fil: unknown key",
    ),
    "empty TLS": ("tls_server_config: {}", "tls_server_config: cert or cert_file is missing"),
    "no key": ("tls_server_config: {cert_file: a}", "tls_server_config: key or key_file is missing"),
    "no certificate": ("tls_server_config: {key_file: a}", "tls_server_config: cert or cert_file is missing"),
    "two certificates": (
        f"tls_server_config: {{{TLS}, cert: x}}",
        "tls_server_config: cert and cert_file exclude each other",
    ),
    "two keys": (
        f"tls_server_config: {{{TLS}, key: x}}",
        "tls_server_config: key and key_file exclude each other",
    ),
    "empty strings for files": (
        "tls_server_config: {cert_file: '', key_file: ''}",
        "tls_server_config: cert or cert_file is missing",
    ),
    "a policy without protection": (
        f"tls_server_config: {{{TLS}, client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca}}",
        (
            "tls_server_config.client_auth_type: expected NoClientCert or RequireAndVerifyClientCert, "
            "got 'VerifyClientCertIfGiven'"
        ),
    ),
    "a CA in the file that is not used": (
        f"tls_server_config: {{{TLS}, client_ca: x}}",
        "tls_server_config: there is a client_ca_file, but client_auth_type does not require certificates",
    ),
    "unknown client policy": (
        f"tls_server_config: {{{TLS}, client_auth_type: Maybe}}",
        f"tls_server_config.client_auth_type: {POLICIES}, got 'Maybe'",
    ),
    "a policy that verifies nothing": (
        f"tls_server_config: {{{TLS}, client_auth_type: RequireAnyClientCert}}",
        (
            "tls_server_config.client_auth_type: expected NoClientCert or RequireAndVerifyClientCert, "
            "got 'RequireAnyClientCert'"
        ),
    ),
    "certificates required, no CA": (
        f"tls_server_config: {{{TLS}, client_auth_type: RequireAndVerifyClientCert}}",
        "tls_server_config: client certificates are required, but client_ca_file is missing",
    ),
    "a CA that is not used": (
        f"tls_server_config: {{{TLS}, client_ca_file: ca}}",
        "tls_server_config: there is a client_ca_file, but client_auth_type does not require certificates",
    ),
    "allowed names, but certificates are not required": (
        f"tls_server_config: {{{TLS}, client_allowed_sans: [x]}}",
        ("tls_server_config: client_allowed_sans need client_auth_type RequireAndVerifyClientCert"),
    ),
    "one allowed name, not in a list": (
        f"tls_server_config: {{{TLS}, client_allowed_sans: x}}",
        "tls_server_config.client_allowed_sans: expected a list or nothing, got text",
    ),
    "a certificate that is asked for alone": (
        f"tls_server_config: {{{TLS}, client_auth_type: RequestClientCert}}",
        f"tls_server_config.client_auth_type: {POLICIES}, got 'RequestClientCert'",
    ),
    "a password in the clear": (
        "basic_auth_users: {alice: secret}",
        "basic_auth_users.alice: expected a bcrypt hash (htpasswd -nBC 10 alice)",
    ),
    "a password that is a number": (
        "basic_auth_users: {alice: 1}",
        "basic_auth_users.alice: expected text, got a whole number, write it in quotes",
    ),
    "a user with a colon": (
        f"basic_auth_users: {{'a:b': '{HASH}'}}",
        "basic_auth_users: 'a:b' can't be a user's name: it is empty or holds a colon",
    ),
    "a user given twice": (f"basic_auth_users: {{a: '{HASH}', a: '{HASH}'}}", "line 1: 'a' is given twice"),
    "a header of our own": (
        "http_server_config: {headers: {X-Other: x}}",
        f"http_server_config.headers.X-Other: can't be configured; these can: {', '.join(HEADERS)}",
    ),
    "a header's value": (
        "http_server_config: {headers: {X-Frame-Options: maybe}}",
        "http_server_config.headers.X-Frame-Options: expected deny or sameorigin, got 'maybe'",
    ),
    "a header that is a list": (
        "http_server_config: {headers: {X-XSS-Protection: [1]}}",
        "http_server_config.headers.X-XSS-Protection: expected a whole number or text or nothing, got a list",
    ),
    "a content type option": (
        "http_server_config: {headers: {X-Content-Type-Options: sniff}}",
        "http_server_config.headers.X-Content-Type-Options: expected nosniff, got 'sniff'",
    ),
    "a hash that is cut off": (
        f"basic_auth_users: {{alice: '{HASH[:-1]}'}}",
        "basic_auth_users.alice: expected a bcrypt hash (htpasswd -nBC 10 alice)",
    ),
    "a hash of a cost that there is not": (
        f"basic_auth_users: {{alice: '{HASH.replace('$10$', '$32$')}'}}",
        "basic_auth_users.alice: expected a bcrypt hash (htpasswd -nBC 10 alice)",
    ),
    "a hash with a salt that is none": (
        f"basic_auth_users: {{alice: '{HASH[:28]}z{HASH[29:]}'}}",
        "basic_auth_users.alice: expected a bcrypt hash (htpasswd -nBC 10 alice)",
    ),
    "a user without a name": (
        f"basic_auth_users: {{'': '{HASH}'}}",
        "basic_auth_users: '' can't be a user's name: it is empty or holds a colon",
    ),
    "lines of junk": (
        "tls_server_config:\n  cert_file: a\nhunter2\nhunter3\n",
        f"line 4: {NO_YAML}",
    ),
    "text and no mapping": ("hunter2\nhunter3\n", "the file: expected a mapping or nothing, got text"),
    "a password that is an alias to YAML": ("basic_auth_users: {alice: *hunter2}", f"line 1: {NO_YAML}"),
    "a password that is a tag to YAML": ("basic_auth_users: {alice: !hunter2 x}", f"line 1: {NO_YAML}"),
    "a password that is a tag's handle": ("basic_auth_users: {alice: !hunter2!x y}", f"line 1: {NO_YAML}"),
    "a password that can't begin so": ("basic_auth_users: {alice: @hunter2}", f"line 1: {NO_YAML}"),
    "a password of the wrong kind": (
        "basic_auth_users: {alice: !!int hunter2}",
        "line 1: what stands here is no int",
    ),
    "a control character": ("basic_auth_users: {alice: hunter2\x07}", NO_YAML),
    "a certificate in the file that is empty, beside a file": (
        "tls_server_config: {cert: '', cert_file: '', key_file: a.key}",
        "tls_server_config: cert or cert_file is missing",
    ),
    "a key in the file beside a file": (
        "tls_server_config: {cert_file: a.crt, key: x, key_file: a.key}",
        "tls_server_config: key and key_file exclude each other",
    ),
    "a CA in the file beside a file": (
        (
            f"tls_server_config: {{{TLS}, client_auth_type: RequireAndVerifyClientCert, client_ca: x, "
            "client_ca_file: ca}"
        ),
        "tls_server_config: client_ca and client_ca_file exclude each other",
    ),
    "tokens that are none": (
        "bearer_token_files:",
        "bearer_token_files: expected a list, got nothing",
    ),
    "one token file, not in a list": (
        "bearer_token_files: token",
        "bearer_token_files: expected a list, got text",
    ),
    "a split header": (
        'http_server_config: {headers: {Content-Security-Policy: "a\\r\\nX-Evil: 1"}}',
        "http_server_config.headers.Content-Security-Policy: holds a character that no header may hold",
    ),
    "http2 that is no boolean": (
        "http_server_config: {http2: maybe}",
        "http_server_config.http2: expected true or false or nothing, got text",
    ),
    "a rate limit with a burst": (
        "rate_limit: {interval: 5s, burst: 2}",
        "rate_limit: not supported here (connections are limited; a storm costs little)",
    ),
    "a rate limit's unknown key": ("rate_limit: {intervall: 0}", "rate_limit.intervall: unknown key"),
    "a rate limit": (
        "rate_limit: {interval: 1s}",
        "rate_limit: not supported here (connections are limited; a storm costs little)",
    ),
}

GOOD = {
    "empty": "",
    "only comments": "# nothing yet\n",
    "keys of TLS with nothing after them": (
        f"tls_server_config: {{{TLS}, cipher_suites: , curve_preferences: , min_version: , max_version: , "
        "cert: , key: , client_auth_type: , client_ca: , client_ca_file: , prefer_server_cipher_suites: }"
    ),
    "keys of HTTP with nothing after them": "http_server_config: {http2: , headers: {X-Frame-Options: }}",
    "a rate limit with nothing after its keys": "rate_limit: {interval: , burst: }",
    "lists with nothing in them": f"tls_server_config: {{{TLS}, cipher_suites: [], curve_preferences: []}}",
    "names of clients": (
        f"tls_server_config: {{{TLS}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca, "
        "client_allowed_sans: [prometheus.test]}"
    ),
    "keys with nothing after them": (
        "tls_server_config:\nhttp_server_config:\nbasic_auth_users:\nrate_limit:\n"
    ),
    "no header after the key": "http_server_config: {headers: }",
    "no allowed names after the key": f"tls_server_config: {{{TLS}, client_allowed_sans: }}",
    "an empty certificate in the file beside a file": f"tls_server_config: {{{TLS}, cert: '', key: ''}}",
    "a rate limit that is off": "rate_limit: {interval: 0}",
    "a rate limit that is off, in seconds": "rate_limit: {interval: 0s, burst: 5}",
    "no HTTP/2": "http_server_config: {http2: false}",
    "a hash as htpasswd writes it": f"basic_auth_users: {{alice: {HASH}}}",
    "TLS": f"tls_server_config: {{{TLS}}}",
    "no client certificates": f"tls_server_config: {{{TLS}, client_auth_type: NoClientCert}}",
    "client certificates": (
        f"tls_server_config: {{{TLS}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca}}"
    ),
    "users": f"basic_auth_users: {{alice: '{HASH}', bob: '{HASH}'}}",
    "tokens": "bearer_token_files: [/etc/grid-exporter/scrape-token]",
    "headers": "http_server_config: {headers: {X-Frame-Options: deny, Strict-Transport-Security: max-age=1}}",
    "headers whose values are numbers": "http_server_config: {headers: {X-XSS-Protection: 1}}",
    "headers that are blank": "http_server_config: {headers: {X-Frame-Options: ''}}",
    "an HTTP section with nothing in it": "http_server_config: {}",
    "certificates in the file": "tls_server_config: {cert: x, key: y}",
    "every suite of TLS 1.2 and 1.3 that Go holds secure": (
        f"tls_server_config: {{{TLS}, cipher_suites: [{', '.join([*SUITES, *SUITES_13])}]}}"
    ),
    "versions": f"tls_server_config: {{{TLS}, min_version: TLS13, max_version: TLS13}}",
    "HTTP/2 as others have it": "http_server_config: {http2: true}",
}


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_is_named(name: str) -> None:
    """Each mistake, and each protection that can't be had here, has its one clear line."""
    text, message = BAD[name]
    with pytest.raises(ConfigError) as error:
        parse(text)
    assert str(error.value).partition(" (line ")[0] == message


def test_every_hash_that_is_taken_can_be_checked() -> None:
    """Whatever salt is let through, bcrypt takes it: a password checked against it is wrong, and no error."""
    cheap = HASH.replace("$10$", "$04$")
    for last in string.printable:
        if BCRYPT.fullmatch(f"{cheap[:28]}{last}{cheap[29:]}"):
            assert not bcrypt.checkpw(b"wrong", f"{cheap[:28]}{last}{cheap[29:]}".encode())


@pytest.mark.parametrize("name", GOOD)
def test_a_good_file_is_taken(name: str) -> None:
    """Files that work for the other exporters work here."""
    parse(GOOD[name])


def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path) -> None:
    """It would keep a thread busy for longer than its reading may take."""
    path = tmp_path / "web.yml"
    path.write_text("#" * 300_000)
    with pytest.raises(ConfigError, match="it is larger than 256 KiB"):
        load(path)
