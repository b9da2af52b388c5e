"""Authorities, and certificates of theirs that are good or have one flaw each."""

import socket
import ssl
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import trustme

Flaw = Literal["another authority", "expired", "another name", "TLS 1.1"]

NAME = "localhost"


def outdated(context: ssl.SSLContext) -> None:
    """Let it speak nothing newer than TLS 1.1; Python warns of that."""
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1


def agreed(port: int, context: ssl.SSLContext) -> str:
    """Which version a server speaks with this client. Raises OSError if none."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as connection,
        context.wrap_socket(connection, server_hostname=NAME) as secure,
    ):
        return str(secure.version())


class Authority:
    """An authority with its certificate in a file."""

    def __init__(self, root: Path) -> None:
        self._ca = trustme.CA()
        self.file = root / "authority.pem"
        self._ca.cert_pem.write_to_path(str(self.file))
        self.file.chmod(0o644)
        self._root = root

    def context(self, flaw: Flaw | None = None) -> ssl.SSLContext:
        """How a server at localhost speaks, with this flaw."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if flaw == "TLS 1.1":
            outdated(context)
        self._issue(flaw).configure_cert(context)
        return context

    def files(self) -> tuple[Path, Path]:
        """A good certificate and its key, in files."""
        issued = self._issue(None)
        certificate, key = self._root / "certificate.pem", self._root / "key.pem"
        issued.private_key_pem.write_to_path(str(key))
        certificate.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        return certificate, key

    def trusting(self) -> ssl.SSLContext:
        """How a client speaks that trusts this authority alone."""
        return ssl.create_default_context(cafile=self.file)

    def trusting_older(self, newest: ssl.TLSVersion) -> ssl.SSLContext:
        """The same for one that knows no newer version."""
        context = self.trusting()
        if newest < ssl.TLSVersion.TLSv1_2:
            outdated(context)
        else:
            context.maximum_version = newest
        return context

    def _issue(self, flaw: Flaw | None) -> trustme.LeafCert:
        now = datetime.now(UTC)
        ended = now - timedelta(days=1) if flaw == "expired" else None
        issuer = trustme.CA() if flaw == "another authority" else self._ca
        name = "elsewhere.example" if flaw == "another name" else NAME
        return issuer.issue_cert(name, not_before=now - timedelta(days=2), not_after=ended)
