"""What an attempt would like to get at, outside: files, servers, another process."""

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Self

CANARY = "canary-a1b2c3"


class Bait:
    """Readable and writable for everybody on the machine, so that only the walls are put to the test."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.apart = root.with_name(f"{root.name}-outside")  # for controls, which do what attempts can't
        self._sockets: list[socket.socket] = []
        self.received: list[bytes] = []

    def __enter__(self) -> Self:
        for place in (self.root, self.apart):
            place.mkdir()
            place.chmod(0o777)
            for name in ("secret.txt", "precious.txt"):
                (place / name).write_text(CANARY)
                (place / name).chmod(0o666)
        tcp = self._listen(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
        tcp6 = self._listen(socket.AF_INET6, socket.SOCK_STREAM, ("::1", 0)) if socket.has_ipv6 else tcp
        udp = self._listen(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
        self._listen(socket.AF_UNIX, socket.SOCK_STREAM, f"\0{self.root.name}")
        for kind, name in ((socket.SOCK_STREAM, "stream"), (socket.SOCK_DGRAM, "datagram")):
            self._listen(socket.AF_UNIX, kind, str(self.root / name))
            (self.root / name).chmod(0o777)
        self._victim = subprocess.Popen(
            [sys.executable, "-S", "-c", f"secret = '{CANARY}'; import time; time.sleep(3600)"],
            env={"VICTIM": CANARY},
            cwd="/",
        )
        self.facts: dict[str, Any] = {
            "canary": CANARY,
            **_files(self.root),
            "tcp": tcp.getsockname()[1],
            "tcp6": tcp6.getsockname()[1],
            "udp": udp.getsockname()[1],
            "abstract": self.root.name,
            "stream": str(self.root / "stream"),
            "datagram": str(self.root / "datagram"),
            "victim": self._victim.pid,
            "uid": os.getuid(),
        }
        return self

    @property
    def facts_outside(self) -> dict[str, Any]:
        """The same with files of the controls' own."""
        return {**self.facts, **_files(self.apart)}

    def __exit__(self, *_: object) -> None:
        self._victim.kill()
        self._victim.wait()
        for listener in self._sockets:
            listener.close()

    def _listen(self, family: int, kind: int, address: Any) -> socket.socket:
        listener = socket.socket(family, kind)
        listener.bind(address)
        self._sockets.append(listener)
        if kind == socket.SOCK_STREAM:
            listener.listen(64)
        else:
            threading.Thread(target=self._receive, args=(listener,), daemon=True).start()
        return listener

    def _receive(self, listener: socket.socket) -> None:
        try:
            while True:
                self.received.append(listener.recv(64))
        except OSError:
            return  # closed

    @property
    def is_whole(self) -> bool:
        """Whether nobody has changed or ended anything of it."""
        contents = [(self.root / name).read_text() for name in ("secret.txt", "precious.txt")]
        modes = {(self.root / name).stat().st_mode & 0o777 for name in ("secret.txt", "precious.txt")}
        return contents == [CANARY, CANARY] and modes == {0o666} and self._victim.poll() is None


def _files(root: Path) -> dict[str, str]:
    return {"root": str(root), "secret": str(root / "secret.txt"), "precious": str(root / "precious.txt")}
