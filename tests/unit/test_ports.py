"""A port that a test is given stays its own until its server listens."""

import socket
import sys

import pytest

from infra.embedded.process import LOOPBACK, port_is_free
from tests.ports import free_port


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a port can't be kept for somebody else")
def test_nobody_else_is_given_it_and_a_server_may_listen_there() -> None:
    port = free_port()

    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind((LOOPBACK, port))
    assert port_is_free(port)
    with socket.create_server((LOOPBACK, port)), socket.create_connection((LOOPBACK, port), timeout=5):
        assert not port_is_free(port)
    assert port_is_free(port)
