"""Ports of loopback for the servers that tests start.

Between asking for a port and listening on it lie the seconds in which a process starts, and meanwhile others ask: tests
run side by side.
"""

import socket
import sys

from infra.embedded import process

_kept: list[socket.socket] = []


def free_port() -> int:
    """A port that nobody listens on, and that nobody else is given as long as this process lives.

    It stays bound here, by a socket that doesn't listen: on Linux a server with SO_REUSEADDR, which all of ours have,
    may listen there all the same.
    """
    if sys.platform != "linux":
        return process.free_port()
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind((process.LOOPBACK, 0))
    _kept.append(kept)
    return int(kept.getsockname()[1])
