"""What ended sessions leave is removed by one thread of its own, one place after the other.

A place may have a hundred thousand directories. In the threads that requests use, a handful of such removals would hold
up every file and every look at a limit.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from worker.sandbox import files
from worker.sandbox.users import User, Users

_THREAD = ThreadPoolExecutor(max_workers=1, thread_name_prefix="removal")
_UNDER_WAY: set[asyncio.Task[None]] = set()


def remove_later(place: Path, users: Users, user: User | None) -> None:
    """Remove a place that nobody uses any more, then give its user back."""
    removal = asyncio.create_task(_remove(place, users, user))
    _UNDER_WAY.add(removal)
    removal.add_done_callback(_UNDER_WAY.discard)


async def _remove(place: Path, users: Users, user: User | None) -> None:
    await asyncio.get_running_loop().run_in_executor(_THREAD, files.remove, place)
    users.give_back(user)


async def until_removed() -> None:
    """Wait for what is under way. Raises OSError if something can't be removed."""
    await asyncio.gather(*_UNDER_WAY)
