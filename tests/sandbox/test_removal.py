"""Removing what sessions left holds up nobody."""

import asyncio
import threading
from pathlib import Path

import pytest

from worker.sandbox import files
from worker.sandbox.removal import remove_later, until_removed
from worker.sandbox.users import Users


async def test_places_that_take_long_to_remove_take_no_thread_from_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on, remove = threading.Event(), files.remove

    def held_up(place: Path) -> None:
        goes_on.wait(60)
        remove(place)

    monkeypatch.setattr(files, "remove", held_up)
    places = [tmp_path / str(number) for number in range(64)]
    for place in places:
        (place / "data").mkdir(parents=True)
        remove_later(place, Users(), None)
    try:
        await asyncio.wait_for(asyncio.to_thread(lambda: None), 5)
        assert all(place.exists() for place in places)
    finally:
        goes_on.set()
        await until_removed()
    assert not any(place.exists() for place in places)
