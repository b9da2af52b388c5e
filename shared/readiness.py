"""Telling whoever started this process that it is ready: systemd's sd_notify protocol, one datagram."""

import socket
from typing import Protocol


class Supervised(Protocol):
    """Settings of a process that a supervisor may have started."""

    @property
    def notify_socket(self) -> str | None:
        """Where the supervisor listens, if there is one."""


def notify_ready(settings: Supervised) -> None:
    """Send READY=1 to `NOTIFY_SOCKET`, if a supervisor named one. Raises OSError if it has gone away."""
    if settings.notify_socket is None:
        return
    address = settings.notify_socket
    if address.startswith("@"):  # Linux's abstract namespace is spelt with a leading NUL
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect(address)
        sock.send(b"READY=1")
