"""What an export says of itself, so that one that is damaged or of another format is noticed before it is read."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import orjson

from shared.database import Row
from shared.errors import InvalidRequest

MANIFEST = "manifest.json"
FORMAT = "assistantd.export"
VERSION = 1


@dataclass(slots=True)
class Digest:
    """Lines, as they are written or read."""

    sha256: Any = field(default_factory=hashlib.sha256)
    size: int = 0
    objects: int = 0

    def add(self, line: bytes) -> None:
        """One more."""
        self.sha256.update(line)
        self.size += len(line)
        self.objects += 1

    @classmethod
    def of(cls, path: Path) -> Self:
        """Those of a file."""
        digest = cls()
        with path.open("rb") as lines:
            for line in lines:
                digest.add(line)
        return digest

    def told(self) -> dict[str, Any]:
        """As it stands in a manifest."""
        return {"objects": self.objects, "bytes": self.size, "sha256": self.sha256.hexdigest()}


@dataclass(frozen=True)
class Manifest:
    """`manifest.json`."""

    told: Mapping[str, Any]

    @classmethod
    def of(cls, project: Row, digests: Mapping[str, Digest]) -> Self:
        """That of an export which has just been written."""
        return cls(
            {
                "format": FORMAT,
                "version": VERSION,
                "exported_at": datetime.now(UTC).isoformat(timespec="seconds"),
                "project": {"id": project["id"], "name": project["name"]},
                "files": {f"{name}.jsonl": digest.told() for name, digest in digests.items()},
            }
        )

    def write(self, directory: Path) -> None:
        """Whole, or not at all."""
        part = directory / f"{MANIFEST}.part"
        part.write_bytes(orjson.dumps(self.told, option=orjson.OPT_INDENT_2) + b"\n")
        part.rename(directory / MANIFEST)

    @classmethod
    def read(cls, directory: Path) -> Self | None:
        """That of an export; None where there is none, as in dumps from elsewhere. Raises InvalidRequest if it can't
        be read, is of a later format, or the directory is not what it says.
        """
        path = directory / MANIFEST
        if not path.is_file():
            return None
        try:
            told = orjson.loads(path.read_bytes())
        except orjson.JSONDecodeError as error:
            raise InvalidRequest(f"{path} is not JSON: {error}.") from None
        if not isinstance(told, dict) or told.get("format") != FORMAT:
            return None
        if told.get("version") != VERSION:
            raise InvalidRequest(f"{path} is of version {told.get('version')}; this assistantd reads {VERSION}.")
        manifest = cls(told)
        manifest.check(directory)
        return manifest

    def check(self, directory: Path) -> None:
        """Raises InvalidRequest where a file of lines is not the one that was written."""
        for name, expected in self.told["files"].items():
            path = directory / name
            if not path.is_file():
                raise InvalidRequest(f"{path} is missing; {MANIFEST} names it.")
            found = Digest.of(path).told()
            if found != expected:
                raise InvalidRequest(
                    f"{path} is not what was exported: it has {found['objects']} objects, {found['bytes']} bytes and "
                    f"the SHA-256 {found['sha256']}; {MANIFEST} says {expected['objects']}, {expected['bytes']} and "
                    f"{expected['sha256']}."
                )
