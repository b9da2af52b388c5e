"""What a session may use. One place for every figure, so that tests, documents and walls agree."""

from dataclasses import dataclass
from datetime import timedelta

MB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Of one session, unless the name says call. Bytes, characters and counts are whole numbers."""

    memory: int = 1024 * MB  # anonymous and shared pages of all its processes; one process gets MemoryError there
    address_space: int = 6144 * MB  # of one process: libraries reserve much that they never touch
    processes: int = 64  # threads count
    open_files: int = 256  # of one process
    file_size: int = 100 * MB
    disk: int = 200 * MB  # everything that it can write to: /mnt/data, /tmp, /dev/shm, home
    disk_entries: int = 4000  # files, directories, links, sockets …
    cpu: timedelta = timedelta(hours=1)  # of one process
    output: int = 1 * MB  # characters of text that a call may give back
    images: int = 20  # a call
    image_size: int = 4 * MB  # bytes
    inflow: int = 160 * MB  # bytes that the interpreter may send in one call, before it counts as hostile
    frame: int = 6 * MB  # bytes of one frame: an image in base64, and some
    code: int = 1 * MB  # bytes of a call's code
    call: timedelta = timedelta(seconds=120)  # wall time unless a call asks for less or, up to `longest_call`, more
    longest_call: timedelta = timedelta(seconds=600)
    grace: timedelta = timedelta(seconds=1)  # from interrupt to kill
    records: int = 64 * MB  # bytes of finished calls that are remembered, the newest ones


DEFAULT = Limits()
