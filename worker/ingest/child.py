"""One file in a process of its own: what the forked child does until it ends.

Its end is no concern of others: it holds nothing but the file, which has no name any more, and the socket on which it
tells what it reads. Limits of memory and processor time are the kernel's to keep; nothing can be written to disk.
"""

import importlib
import json
import os
import resource
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from worker.ingest.chunks import Chunk, Cutter, TooManyTokens
from worker.ingest.document import Pages, Part, Unreadable
from worker.ingest.formats.detect import detect
from worker.ingest.protocol import LENGTH, Done, Failed, Frame, Job, Progress

RSS_UNIT = 1 if sys.platform == "darwin" else 1024
NICENESS = 10
SUSPECT = 0.75  # of its memory: whoever fails with more than that fails for want of memory
BATCH_CHUNKS = 64
BATCH_BYTES = 256 << 10
SHOWN_EVERY_S = 1.0  # progress in pages, where no chunks are ready

READERS = {
    "text": ("plain", "read_text"),
    "csv": ("plain", "read_csv"),
    "pdf": ("pdf", "read_pdf"),
    "docx": ("office", "read_docx"),
    "pptx": ("office", "read_pptx"),
    "xlsx": ("office", "read_xlsx"),
    "html": ("markup", "read_html"),
    "markdown": ("markup", "read_markdown"),
    "epub": ("markup", "read_epub"),
    "rtf": ("markup", "read_rtf"),
    "email": ("mail", "read_email"),
}
NAMES = {
    "pdf": "PDF",
    "docx": "Word file",
    "pptx": "presentation",
    "xlsx": "spreadsheet",
    "epub": "e-book",
    "rtf": "RTF file",
    "html": "HTML page",
    "markdown": "Markdown file",
    "csv": "table",
    "email": "mail",
    "text": "text",
}


def run(job: Job, file: BinaryIO, results: socket.socket) -> None:
    """Read the file and tell what it says; whatever goes wrong is told too, as long as there is memory for it."""
    _limit(job)
    try:
        for frame in read(job, file):
            _send(results, frame)
    except BrokenPipeError:
        return  # nobody listens any more
    except MemoryError:
        _send(results, out_of_memory(job.memory))
    except Exception as error:  # noqa: BLE001 # a defect of ours, since those of files are told as such
        message = "The server had an error while reading the file; the worker's log has it."
        _send(results, Failed(kind="failed", code="server_error", message=message, error=_where(error)))


def read(job: Job, file: BinaryIO) -> Iterator[Frame]:
    """Frames, the last of which says how it ended. Raises MemoryError."""
    try:
        kind = detect(file, job.filename)
        yield from _chunks(job, kind, file)
    except Unreadable as error:
        yield Failed(kind="failed", code=error.code, message=error.message, error=error.error)
        return
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT
    yield Done(kind="done", format=kind, peak_bytes=peak_bytes)


def reader_of(kind: str) -> Callable[[BinaryIO], Iterator[Part | Pages]]:
    """The reader of a format; its module is loaded when first asked for."""
    module, name = READERS[kind]
    return getattr(importlib.import_module(f"worker.ingest.formats.{module}"), name)


def out_of_memory(memory: int) -> Failed:
    """What is said of a file that took more than it may."""
    message = f"Reading the file takes more than {memory >> 20} MiB of memory, which is as much as one file may take."
    return Failed(kind="failed", code="invalid_file", message=message, error="MemoryError")


def _chunks(job: Job, kind: str, file: BinaryIO) -> Iterator[Progress]:
    """Raises Unreadable, also for whatever a reader stumbles over."""
    batch = _Batch()
    cutter = Cutter(job.chunk_tokens, job.overlap_tokens, at_most=job.most_tokens)
    try:
        for told in _told(job, kind, file):
            if isinstance(told, Pages):
                batch.pages, batch.pages_unread = told.number, told.unread
                continue
            batch.page(told.page)
            for chunk in cutter.take(told):
                batch.add(chunk)
            if batch.is_due:
                yield batch.take()
        for chunk in cutter.end():
            batch.add(chunk)
            if batch.is_due:
                yield batch.take()
    except TooManyTokens:
        message = f"The file has more than {job.most_tokens} tokens, which is as many as can be indexed."
        raise Unreadable("invalid_file", message) from None
    if not batch.said:
        raise Unreadable("invalid_file", "The file has no text in it.")
    yield batch.take()


def _told(job: Job, kind: str, file: BinaryIO) -> Iterator[Part | Pages]:
    try:
        yield from reader_of(kind)(file)
    except (Unreadable, MemoryError, GeneratorExit):
        raise
    except Exception as error:
        if _memory_taken() > job.memory * SUSPECT:  # compiled code says anything but that when it gets no more
            raise MemoryError from error
        if isinstance(error, RecursionError):
            message = f"The file is nested deeper than a {NAMES[kind]} can be read."
        else:
            message = f"The file could not be read as a {NAMES[kind]}: it is damaged, or has what no {NAMES[kind]} has."
        raise Unreadable("invalid_file", message, _where(error)) from error


class _Batch:
    """Chunks that are told together."""

    def __init__(self) -> None:
        self.pages: int | None = None
        self.pages_unread = 0
        self.said = False
        self._pages_read = self._position = self._usage_bytes = self._bytes = 0
        self._chunks: list[dict[str, Any]] = []
        self._shown_at = time.monotonic()
        self._shown_pages = 0

    def page(self, number: int | None) -> None:
        """The page of the part that is being cut: those before it are read."""
        self._pages_read = max(self._pages_read, (number or 1) - 1)

    def add(self, chunk: Chunk) -> None:
        self._position += 1
        self.said = self.said or not chunk.text.isspace()
        size = len(chunk.text.encode())
        self._bytes += size
        self._usage_bytes += size
        self._chunks.append({"position": self._position, **asdict(chunk)})

    @property
    def is_due(self) -> bool:
        """Enough to be told, or long enough that nothing was."""
        if len(self._chunks) >= BATCH_CHUNKS or self._bytes >= BATCH_BYTES:
            return True
        return self._pages_read > self._shown_pages and time.monotonic() > self._shown_at + SHOWN_EVERY_S

    def take(self) -> Progress:
        chunks, self._chunks, self._bytes = self._chunks, [], 0
        self._shown_at, self._shown_pages = time.monotonic(), self._pages_read
        return Progress(
            kind="progress",
            chunks=chunks,
            usage_bytes=self._usage_bytes,
            pages=self.pages,
            pages_read=self._pages_read,
            pages_unread=self.pages_unread,
        )


def _memory_taken() -> int:
    """The most address space that this process has had, in bytes; 0 where the system doesn't tell."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmPeak:")), 0)


def _limit(job: Job) -> None:
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_CPU, (job.seconds, job.seconds + 5))
    resource.setrlimit(resource.RLIMIT_AS, (job.memory, job.memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _send(results: socket.socket, frame: Frame) -> None:
    body = json.dumps(frame).encode()
    results.sendall(LENGTH.pack(len(body)) + body)


def _where(error: BaseException) -> str:
    """Kind and place of an error; its message may quote the file."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    return f"{type(error).__name__} at " + " < ".join(
        f"{f.filename.rsplit('/', 1)[-1]}:{f.lineno}" for f in reversed(frames)
    )
