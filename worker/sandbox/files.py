"""Files of a session, from outside: measured, listed, read and written without ever trusting a name.

Code inside may swap anything below its directories at any moment. So each step goes by the descriptor of a directory
that is already open, follows no link, waits for nobody, and looks at what it has opened, not at what it was told. Hard
links are no matter: both names lie within the session, for link(2) doesn't cross the mount, and at the level landlock
not the rules.
"""

import contextlib
import errno
import os
import secrets
import stat
import unicodedata
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from worker.sandbox.users import User

DEEPEST = 16  # directories that are looked into below each other
TOO_DEEP = 64  # that may be below each other at all
LONGEST_NAME = 255  # bytes of one name, and characters of a path
ENTER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class NoFileError(Exception):
    """There is no such file, or what has the name is no regular file of the size that is allowed."""


class BadNameError(Exception):
    """No name for a file."""


@dataclass(frozen=True)
class Found:
    """A regular file. `version` differs once its content may differ: code can't set the time of a change of status."""

    name: str  # what clients call it: clean, unique, with "/" between directories
    path: tuple[bytes, ...]  # what it is really called
    size: int
    version: str


def usage(place: Path, most: int) -> tuple[int, int]:
    """Bytes on disk and entries of everything below `place`.

    Stops counting beyond `most` entries; a tree that is deeper than any honest one counts as more than that. At no time
    are more descriptors open than a tree may be deep.
    """
    try:
        return _usage(os.open(place, ENTER), most, 0)
    except FileNotFoundError:
        return 0, 0


def _usage(directory: int, most: int, depth: int) -> tuple[int, int]:
    """Of an open directory, which it closes."""
    size = entries = 0
    try:
        if depth > TOO_DEEP:
            return 0, most + 1
        for entry, facts in _entries(directory):
            size += facts.st_blocks * 512
            entries += 1
            if stat.S_ISDIR(facts.st_mode):
                with contextlib.suppress(OSError):
                    inner = _usage(os.open(entry, ENTER, dir_fd=directory), most - entries, depth + 1)
                    size, entries = size + inner[0], entries + inner[1]
            if entries > most:
                break
    finally:
        os.close(directory)
    return size, entries


def _entries(directory: int) -> Iterator[tuple[str, os.stat_result]]:
    """What is in an open directory; names come and go meanwhile."""
    with contextlib.suppress(OSError), os.scandir(directory) as found:
        for entry in found:
            with contextlib.suppress(FileNotFoundError):
                yield entry.name, entry.stat(follow_symlinks=False)


def remove(place: Path) -> None:
    """Remove everything, however deep: inner directories are moved up to `place` first. Nobody may use it any more."""
    try:
        root = os.open(place, ENTER)
    except FileNotFoundError:
        return
    try:
        waiting = _clear(root, root)
        while waiting:
            name = waiting.pop()
            os.chmod(name, 0o700, dir_fd=root)  # a directory, and nobody is left who could swap it
            directory = os.open(name, ENTER, dir_fd=root)
            try:
                waiting += _clear(directory, root)
            finally:
                os.close(directory)
            os.rmdir(name, dir_fd=root)
    finally:
        os.close(root)
    place.rmdir()


def _clear(directory: int, root: int) -> list[str]:
    """Unlink the files of an open directory and move its directories up. Returns their names there."""
    moved: list[str] = []
    for name, facts in list(_entries(directory)):
        if stat.S_ISDIR(facts.st_mode):
            moved.append(secrets.token_hex(8))
            if directory != root:
                os.chmod(name, 0o700, dir_fd=directory)  # or it can't be moved, except by root
            os.rename(name, moved[-1], src_dir_fd=directory, dst_dir_fd=root)
        else:
            os.unlink(name, dir_fd=directory)
    return moved


def listing(place: Path, *, most: int, largest: int) -> tuple[list[Found], list[tuple[str, str]]]:
    """The regular files below `place` in order of their names, and what is left out, with the reason."""
    found: list[Found] = []
    left_out: list[tuple[str, str]] = []
    with _opened(place) as root:
        for path, descriptor, problem in _walk(root, (), most):
            name = "/".join(_clean(part) for part in path)[:LONGEST_NAME]
            if descriptor is None:
                left_out.append((name, problem))
                continue
            facts = os.fstat(descriptor)
            if facts.st_size > largest:
                left_out.append((name, "too large"))
            else:
                version = f"{facts.st_ino:x}-{facts.st_size:x}-{facts.st_ctime_ns:x}"
                found.append(Found(name, path, facts.st_size, version))
    return _unique(found), left_out


def _walk(directory: int, above: tuple[bytes, ...], budget: int) -> Iterator[tuple[tuple[bytes, ...], int | None, str]]:
    """Each file below an open directory: its path, and its descriptor or why it has none. Closes what it opens."""
    try:
        names = sorted(os.fsencode(name) for name in os.listdir(directory))[:budget]
    except OSError:
        return
    for name in names:
        path = (*above, name)
        try:
            descriptor = os.open(name, READ, dir_fd=directory)
        except OSError as error:
            if error.errno != errno.ENOENT:
                yield path, None, "a link" if error.errno == errno.ELOOP else "not readable"
            continue
        try:
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISREG(mode):
                yield path, descriptor, ""
            elif not stat.S_ISDIR(mode):
                yield path, None, "not a regular file"
            elif len(path) >= DEEPEST:
                yield path, None, "too deep"
            else:
                yield from _walk(descriptor, path, budget)
        finally:
            os.close(descriptor)


def _clean(name: bytes) -> str:
    """A name as it may be shown: no control characters, nothing that turns the writing direction, valid UTF-8."""
    text = unicodedata.normalize("NFC", name.decode("utf-8", "replace"))
    shown = "".join("_" if unicodedata.category(letter)[0] in "CZ" and letter != " " else letter for letter in text)
    return shown.replace("\\", "_").strip() or "_"


def _unique(found: list[Found]) -> list[Found]:
    taken: set[str] = set()
    result: list[Found] = []
    for file in found:
        stem, dot, suffix = file.name.rpartition(".") if "." in file.name.lstrip(".") else (file.name, "", "")
        name, number = file.name, 1
        while name in taken:
            number += 1
            name = f"{stem} ({number}){dot}{suffix}"
        taken.add(name)
        result.append(Found(name, file.path, file.size, file.version))
    return result


@contextlib.contextmanager
def _opened(place: Path) -> Generator[int]:
    descriptor = os.open(place, ENTER)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def open_to_read(place: Path, path: tuple[bytes, ...], largest: int) -> int:
    """A descriptor of the regular file at `path`, to be closed by the caller. Raises NoFileError."""
    try:
        descriptor = os.open(place, ENTER)
        for position, name in enumerate(path, 1):
            above = descriptor
            try:
                descriptor = os.open(name, READ if position == len(path) else ENTER, dir_fd=above)
            finally:
                os.close(above)
    except OSError as error:
        raise NoFileError(error.strerror) from error
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode) or facts.st_size > largest:
        os.close(descriptor)
        raise NoFileError("not a regular file of the size that is allowed")
    return descriptor


def check_name(name: str) -> bytes:
    """A name under which a client may put a file: one component, clean. Raises BadNameError."""
    encoded = name.encode("utf-8", "surrogatepass")
    if not name or name in {".", ".."} or "/" in name or len(encoded) > LONGEST_NAME or _clean(encoded) != name:
        raise BadNameError("a file's name has 1 to 255 bytes of printable UTF-8 without slashes")
    return encoded


class Incoming:
    """A file on its way in: written beside its place under a name that nobody knows, then put there in one step.

    Whatever has its name is replaced, never written through: a link there leads nowhere.
    """

    def __init__(self, place: Path, name: str, owner: User | None) -> None:
        """Raises BadNameError, or OSError if the directory is gone."""
        self._name = check_name(name)
        self._owner = owner
        self._directory = os.open(place, ENTER)
        self._draft = f".{secrets.token_hex(16)}"
        try:
            self._file = os.open(self._draft, WRITE, 0o600, dir_fd=self._directory)
        except OSError:
            os.close(self._directory)
            raise

    def write(self, data: bytes) -> None:
        """More of it."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]

    def finish(self) -> None:
        """All of it. Raises OSError, for instance where a directory has the name."""
        try:
            if self._owner is not None:
                os.fchown(self._file, self._owner.uid, self._owner.uid)
            os.rename(self._draft, self._name, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Not all of it came: nothing has changed."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._draft, dir_fd=self._directory)
        os.close(self._file)
        os.close(self._directory)
