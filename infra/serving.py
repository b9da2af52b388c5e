"""How our servers speak TLS, if they do."""

import ssl
from collections.abc import Callable

from shared import tls
from shared.settings import PREFIX, Settings, SettingsError


def context_of(settings: Settings) -> ssl.SSLContext | None:
    """With the configured certificate; None where none is. Raises SettingsError if it can't be used."""
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    try:
        return tls.serving(settings.tls_certificate, settings.tls_key)
    except OSError as error:
        both = f"{PREFIX}TLS_CERTIFICATE and {PREFIX}TLS_KEY"
        raise SettingsError(f"{both} can't be used: {error}") from error


def factory_of(settings: Settings) -> Callable[[object, object], ssl.SSLContext] | None:
    """The same as uvicorn wants it. Raises SettingsError."""
    context = context_of(settings)
    if context is None:
        return None

    def made(_config: object, _default: object) -> ssl.SSLContext:
        return context

    return made
