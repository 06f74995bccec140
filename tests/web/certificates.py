"""Certificates of our own for the TLS tests: a CA, a server's, a client's, a stranger's."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme


class Certificates:
    """Files in a directory, named as a web-config there names them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ca = trustme.CA()
        self.ca.cert_pem.write_to_path(str(directory / "ca.crt"))
        self.issue("server", self.ca)
        self.issue("client", self.ca)
        self.issue("stranger", trustme.CA())

    def issue(self, name: str, ca: trustme.CA, kind: trustme.KeyType = trustme.KeyType.ECDSA) -> None:
        """Writes NAME.crt and NAME.key for 127.0.0.1."""
        leaf = ca.issue_cert("127.0.0.1", "localhost", key_type=kind)
        leaf.private_key_pem.write_to_path(str(self.directory / f"{name}.key"))
        (self.directory / f"{name}.crt").write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))

    def server(self, *, clients: bool = False, more: str = "") -> str:
        """A web-config with the server's certificate, that requires clients' where asked to."""
        required = ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.crt" if clients else ""
        return f"tls_server_config: {{cert_file: server.crt, key_file: server.key{required}{more}}}\n"

    def client_context(self, name: str | None = None) -> ssl.SSLContext:
        """A client's context that trusts our CA and shows the named certificate."""
        context = ssl.create_default_context(cafile=str(self.directory / "ca.crt"))
        if name:
            context.load_cert_chain(self.directory / f"{name}.crt", self.directory / f"{name}.key")
        return context
