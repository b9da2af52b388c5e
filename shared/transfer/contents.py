"""Where in a dump the content of a file is: beside its object, under its id or its name."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from shared.files.storage import CHUNK
from shared.transfer.reading import SUFFIXES


class Contents:
    """The files of a dump that may be contents, by their names. Names alone are held in memory."""

    def __init__(self, paths: Iterator[Path]) -> None:
        self._by_name: dict[str, list[Path]] = {}
        for path in paths:
            self._by_name.setdefault(path.name, []).append(path)
            if path.stem != path.name:
                self._by_name.setdefault(path.stem, []).append(path)

    def find(self, file_id: str, filename: str, size: int) -> Path | None:
        """The one of this id, with whatever ending; else the only one of this name and size."""
        by_id = self._by_name.get(file_id, [])
        if by_id:
            return min(by_id, key=lambda path: (path.stat().st_size != size, path.name))
        by_name = [path for path in self._by_name.get(filename, []) if path.name == filename]
        fitting = [path for path in by_name if path.stat().st_size == size]
        return fitting[0] if len(fitting) == 1 else None


def files_below(directory: Path) -> Iterator[Path]:
    """Every file, in an order that doesn't change."""
    for folder, folders, names in os.walk(directory):
        folders.sort()
        yield from (Path(folder, name) for name in sorted(names))


def may_be_dump(directory: Path, path: Path) -> bool:
    """Could there be objects in it? What lies in a folder named `files` is content."""
    return path.suffix.lower() in SUFFIXES and "files" not in path.relative_to(directory).parent.parts


async def chunks(path: Path) -> AsyncIterator[bytes]:
    """The bytes of a file, some at a time."""
    with path.open("rb") as file:  # nothing else goes on in this process
        while chunk := file.read(CHUNK):
            yield chunk


def line_of(value: Any) -> str:
    """An id as it may be said, whatever it is."""
    return str(value)[:80]
