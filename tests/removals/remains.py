"""Looking for what is left of something, wherever a server keeps anything: rows, Redis, stored bytes, the sandbox."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import psycopg
import redis
from psycopg import sql

from tests.system import System

_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"


def remains(system: System, needles: Iterable[str], *directories: Path) -> dict[str, set[str]]:
    """Which of these are somewhere, by where that is: the name of a table, `redis`, or of a file."""
    wanted = {needle.encode() for needle in needles}
    found: dict[str, set[str]] = {}
    for place, told in _everything(system, directories):
        if seen := {needle.decode() for needle in wanted if needle in told}:
            found.setdefault(place, set()).update(seen)
    return found


def _everything(system: System, directories: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    with psycopg.connect(system.database_url) as connection:
        for (table,) in connection.execute(_TABLES).fetchall():
            rows = connection.execute(sql.SQL("SELECT CAST({0} AS text) FROM {0}").format(sql.Identifier(table)))
            yield from ((table, row.encode()) for (row,) in rows)
    with redis.Redis.from_url(system.redis_url) as client:
        for key in client.scan_iter():
            yield "redis", key + b" " + _value(client, key)
    for directory in directories:
        for path in directory.rglob("*"):
            if path.is_file() and not path.is_symlink():
                yield path.name, path.name.encode() + b" " + path.read_bytes()


def _value(client: "redis.Redis", key: bytes) -> bytes:
    match client.type(key):
        case b"string":
            value = client.get(key)
        case b"list":
            value = client.lrange(key, 0, -1)
        case b"hash":
            value = client.hgetall(key)
        case b"set":
            value = client.smembers(key)
        case b"zset":
            value = client.zrange(key, 0, -1)
        case b"stream":
            value = client.xrange(key)
        case other:
            raise AssertionError(f"a key of a kind that nobody looks into: {key!r} is a {other!r}")
    return repr(value).encode()
