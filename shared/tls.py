"""TLS as it is everywhere here: 1.2 at least, with certificates and names that are looked at; and in words, what is
wrong with the other side's.

Postgres is left to libpq, which is told in the URL (`sslmode=verify-full&sslrootcert=…`) and takes 1.2 at least unless
the URL says otherwise.
"""

import ssl
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

OLDEST = ssl.TLSVersion.TLSv1_2

_OPTIONS = "ssl_"  # how redis' own parameters of URLs begin that are about TLS


def trusting(authorities: Path | None) -> ssl.SSLContext:
    """For connections to others, whose certificates may come from the system's authorities or from those in that file.

    Raises OSError (`ssl.SSLError` is one) if the file holds none.
    """
    return _at_least(ssl.create_default_context(), authorities)


def verifying(authorities: Path | None) -> ssl.SSLContext:
    """The same for httpx, which knows how to find the system's authorities on every system. Raises OSError."""
    from httpx2 import create_ssl_context  # noqa: PLC0415 # whoever speaks to no model doesn't need it

    return _at_least(create_ssl_context(), authorities)


def serving(certificate: Path, key: Path) -> ssl.SSLContext:
    """For whoever connects to us. Raises OSError if the two don't belong together, or are none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = OLDEST
    context.load_cert_chain(certificate, key)
    return context


def _at_least(context: ssl.SSLContext, authorities: Path | None) -> ssl.SSLContext:
    """Left to itself, Python takes what the system's OpenSSL is configured for, which may be older."""
    context.minimum_version = OLDEST
    if authorities is not None:
        context.load_verify_locations(authorities)
    return context


def of_redis(url: str) -> dict[str, Any]:
    """Options of connections to a `rediss://` URL, as redis' clients and Celery's transport take them; none for others.

    What the URL says of `ssl_ca_certs` and the like holds; versions before 1.2 are refused whatever it says.
    """
    parts = urlsplit(url)
    if parts.scheme != "rediss":
        return {}
    said = {name: value for name, value in parse_qsl(parts.query) if name.startswith(_OPTIONS)}
    return {
        "ssl_cert_reqs": "required",
        **said,
        "ssl_check_hostname": said.get("ssl_check_hostname", "true").lower() not in ("false", "0", "no"),
        "ssl_min_version": OLDEST,
    }


def without_options(url: str) -> str:
    """The URL without what it says of TLS: for those who are told it in another way."""
    parts = urlsplit(url)
    others = [(name, value) for name, value in parse_qsl(parts.query) if not name.startswith(_OPTIONS)]
    return parts._replace(query=urlencode(others)).geturl()


def why(error: BaseException | None) -> str | None:
    """What is wrong with the other side's TLS, if that is at the bottom of this error; None if it is something else."""
    while error is not None:
        match error:
            case ssl.SSLCertVerificationError() if told := getattr(error, "verify_message", None):
                return (
                    f"its certificate is not trusted: {told.rstrip('.')}"  # aiohttp's own error of that name has none
                )
            case ssl.SSLError() if reason := getattr(error, "reason", None):
                return f"no TLS could be agreed on: {reason.replace('_', ' ').lower()}"
            case _:
                error = error.__cause__ or error.__context__ or getattr(error, "os_error", None)
    return None
