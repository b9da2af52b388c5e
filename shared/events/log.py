"""The log of a run: a Redis Stream under `ev:{run}`, published on `evp:{run}` at the same time.

Redis refuses an entry whose id is not above the last, so a worker that lost its lease can't write into the log; what it
publishes beside that is dropped by readers, who ignore ids at or below the last they saw.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from shared.events.types import Entry, EventId, Packed
from shared.redis import Command
from shared.vault.contents import Contents
from shared.vault.opened import Opened

if TYPE_CHECKING:
    import redis.asyncio

CHANNELS = "evp:"
MAX_ENTRIES = 5000
_UNLESS_IT_ENDS = "if redis.call('TTL', KEYS[1]) == -1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end"
"""`EXPIRE … NX`, which Redis has from 7 on."""
FORGOTTEN_AFTER = timedelta(minutes=1)
KEEP_AFTER_EXPIRY = timedelta(minutes=15)


class Keeping(NamedTuple):
    """How long a log stays: while it is written, from its beginning; and once its end is written, from then."""

    written: timedelta
    ended: timedelta


def keeping(run: Mapping[str, Any]) -> Keeping:
    """How long the log of this run stays."""
    longest = run["expires_at"] - run["created_at"] + KEEP_AFTER_EXPIRY
    kept_s = run["events_kept_s"]
    return Keeping(longest, longest if kept_s is None else timedelta(seconds=kept_s))


def append(
    run_id: str, entry: Entry, sealed_with: Opened | None, *, keep: timedelta | None = None, anew: bool = False
) -> list[Command]:
    """Commands that write one entry; `keep` sets how long the log stays, and is needed once a writer. Where it is set
    `anew`, a log that ends already ends when it would: its run may be over, or deleted.
    """
    key, packed = f"ev:{run_id}", entry.pack(run_id, sealed_with)
    commands: list[Command] = [
        ("XADD", key, "MAXLEN", "~", MAX_ENTRIES, str(entry.last), "e", packed),
        ("PUBLISH", f"{CHANNELS}{run_id}", packed),
    ]
    if keep is not None:
        seconds = int(keep.total_seconds())
        commands.append(("EVAL", _UNLESS_IT_ENDS, 1, key, seconds) if anew else ("EXPIRE", key, seconds))
    return commands


def forget(run_id: str) -> list[Command]:
    """Commands that empty the log. It stays for a moment, so that a writer which has not heard yet neither begins
    another one, which nothing would end, nor a lower id than the last.
    """
    key = f"ev:{run_id}"
    return [("XTRIM", key, "MAXLEN", 0), ("EXPIRE", key, int(FORGOTTEN_AFTER.total_seconds()))]


async def read(redis: "redis.asyncio.Redis", contents: Contents, run_id: str, after: EventId) -> list[Entry]:
    """The entries that end after `after`; an empty list also when there is no log. Raises RedisError, ValueError if
    something else is in it, and what `Contents.find` raises.
    """
    rows: Any = await redis.xrange(f"ev:{run_id}", min=f"({after}")
    entries: list[Entry] = []
    for _, fields in rows:
        packed = Packed.parse(fields[b"e"])
        key = None if packed.sealed_by is None else await contents.find(packed.sealed_by)
        entries.append(packed.open(run_id, key))
    return entries
