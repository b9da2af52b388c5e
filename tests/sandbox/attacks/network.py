"""Talking to anybody."""

from tests.sandbox.attacks.attack import Attack


def family(name: str, number: int, kind: int, *, control: str | None = None) -> Attack:
    return Attack(
        f"open a socket: {name}", f"socket.socket({number}, {kind}, 0); breach('open')", without_control=control
    )


DEPENDS = "depends on the kernel's modules"
ATTACKS = [
    Attack(
        "connect to a local TCP server", "socket.create_connection(('127.0.0.1', BAIT['tcp']), 2); breach('connected')"
    ),
    Attack("the same by IPv6", "socket.create_connection(('::1', BAIT['tcp6']), 2); breach('connected')"),
    Attack(
        "connect to every usual database",
        "for port in (5432, 6379, 3306, 8000, 8100, 27017):\n"
        "    try: socket.create_connection(('127.0.0.1', port), 1); breach(port)\n    except OSError: pass",
        without_control="none may be there",
    ),
    Attack(
        "send a UDP datagram",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'by UDP', ('127.0.0.1', BAIT['udp'])); breach('sent')",
    ),
    Attack(
        "ask for cloud metadata",
        "socket.create_connection(('169.254.169.254', 80), 2); breach('connected')",
        "not in a cloud",
    ),
    Attack("resolve a name", "breach(socket.getaddrinfo('example.org', 80))", "there may be no network outside"),
    Attack(
        "listen for connections",
        "s = socket.socket(); s.bind(('0.0.0.0', 0)); s.listen(); breach(s.getsockname())",
    ),
    Attack(
        "connect to an abstract Unix socket",
        "s = socket.socket(socket.AF_UNIX); s.connect('\\0' + BAIT['abstract']); breach('connected')",
    ),
    Attack(
        "connect to a Unix socket by path",
        "s = socket.socket(socket.AF_UNIX); s.connect(BAIT['stream']); breach('connected')",
    ),
    Attack(
        "send a Unix datagram by path",
        "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.sendto(b'x', BAIT['datagram']); breach('sent')",
    ),
    Attack(
        "send a Unix datagram by path from a socket pair",
        "a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); a.sendto(b'y', BAIT['datagram']); breach('sent')",
    ),
    Attack(
        "make a Unix socket of the machine's by a link in the session",
        "os.symlink(BAIT['stream'], 'link-to-socket')\ns = socket.socket(socket.AF_UNIX)\n"
        "try:\n    s.connect('link-to-socket'); breach('connected')\nfinally:\n    os.unlink('link-to-socket')",
    ),
    family("raw", 2, 3, control="only root can"),
    family("packet", 17, 3, control="only root can"),
    family("netlink", 16, 3),
    family("vsock", 40, 1, control=DEPENDS),
    family("crypto", 38, 5, control=DEPENDS),
    family("bluetooth", 31, 3, control=DEPENDS),
    family("key", 15, 3, control=DEPENDS),
    family("XDP", 44, 3, control=DEPENDS),
]
