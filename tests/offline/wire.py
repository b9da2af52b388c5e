"""What a network namespace of one's own knows: nothing but loopback, and how often somebody wanted more."""

import asyncio
import fcntl
import ipaddress
import socket
import struct
from pathlib import Path

NET = Path("/proc/self/net")
RESOLVERS = Path("/etc/resolv.conf")
DNS = 53
ELSEWHERE = "192.0.2.1"  # an address for documentation
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 0x1  # of ioctl, from Linux's sockios.h and if.h


def raise_loopback() -> None:
    """Switch it on: in a new namespace even that is down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        name, flags = struct.unpack("16sh", fcntl.ioctl(any_socket, _GET_FLAGS, struct.pack("16sh", b"lo", 0)))
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh", name, flags | _UP))


def interfaces() -> set[str]:
    """Their names."""
    return {line.partition(":")[0].strip() for line in (NET / "dev").read_text().splitlines()[2:]}


def unreachable() -> int:
    """How often anybody in the namespace, in whatever process, wanted to send to where no route leads."""
    names, values = [line.split() for line in (NET / "snmp").read_text().splitlines() if line.startswith("Ip:")]
    of_6 = dict(line.split() for line in (NET / "snmp6").read_text().splitlines())
    return int(values[names.index("OutNoRoutes")]) + int(of_6["Ip6OutNoRoutes"])


class Resolvers(asyncio.DatagramProtocol):
    """In place of those name servers that this machine has on loopback, where a question would not be unreachable:
    `asked` counts what they hear.
    """

    def __init__(self) -> None:
        self.asked = 0

    async def listen(self) -> None:
        """On the address of each."""
        for address in _on_loopback():
            await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, local_addr=(address, DNS))

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        """A question."""
        del data, addr
        self.asked += 1


def _on_loopback() -> list[str]:
    lines = [line.split() for line in RESOLVERS.read_text().splitlines()]
    named = [line[1] for line in lines if line[:1] == ["nameserver"]]
    return [address for address in named if ipaddress.ip_address(address).is_loopback]
