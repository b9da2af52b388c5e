"""The bucket is away, or the line breaks; what a dead process left is found; secrets stay where they are."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from shared import ids
from shared.files import storage
from shared.files.s3 import PART, S3Store
from shared.files.storage import StoreUnavailable, place
from tests.blobs.test_contract import content, everything, keys, pieces, unfinished
from tests.bucket import CREDENTIALS, SECRET, Bucket, Line, line_to


@pytest.fixture
async def line(s3_url: str) -> AsyncIterator[Line]:
    async with line_to(s3_url) as made:
        yield made


@pytest.fixture
async def far(bucket: Bucket, line: Line) -> AsyncIterator[S3Store]:
    """The store at the other end of the line."""
    made = bucket.by(line).store()
    yield made
    await made.close()


@pytest.fixture
async def near(bucket: Bucket) -> AsyncIterator[S3Store]:
    """The same store, always reachable."""
    made = bucket.store()
    yield made
    await made.close()


async def test_a_store_that_is_away_says_so_in_time_and_comes_back(far: S3Store, line: Line) -> None:
    key = ids.new("file")
    await far.put(key, pieces(b"x"))
    await line.cut()

    async with asyncio.timeout(30):
        for asked in (far.put(ids.new("file"), pieces(b"x")), everything(far, key), far.delete(key), keys(far)):
            with pytest.raises(StoreUnavailable, match="EndpointConnectionError"):
                await asked

    await line.mend()
    assert await everything(far, key) == b"x"


async def test_a_download_goes_on_where_the_line_broke(far: S3Store, line: Line) -> None:
    key, whole = ids.new("file"), content(PART + 3)
    await far.put(key, pieces(whole))
    for cut_after in (PART // 2, PART - 1):
        line.cut_after = cut_after
        assert await everything(far, key) == whole
        assert line.cut_after is None
    line.cut_after = PART // 3
    assert b"".join([chunk async for chunk in far.open_range(key, 1000, PART)]) == whole[1000:PART]


async def test_a_line_that_breaks_for_good_in_mid_upload_leaves_parts_that_are_found(
    far: S3Store, near: S3Store, line: Line
) -> None:
    async def then_cut() -> AsyncIterator[bytes]:
        async for piece in pieces(content(2 * PART)):
            yield piece
        await line.cut()
        yield content(PART)

    with pytest.raises(StoreUnavailable):
        await far.put(ids.new("file"), then_cut())

    assert await keys(near) == set()
    assert await near.forget_unfinished(datetime(2010, 1, 1, tzinfo=UTC)) == 0  # this server says 2010 of all of them
    assert await unfinished(near) == 1
    assert await unfinished(near) == 0


async def test_what_others_put_there_is_left_alone(near: S3Store, bucket: Bucket) -> None:
    others = ["some/where/notes.txt", "some/where/abc/" + ids.new("file"), f"elsewhere/{ids.new('file')}"]
    async with bucket.client() as client:
        for name in others:
            await client.put_object(Bucket=bucket.name, Key=name, Body=b"x")
            await client.create_multipart_upload(Bucket=bucket.name, Key=name)

    assert await keys(near) == set()
    assert await unfinished(near) == 0
    assert await bucket.keys() == {name.rpartition("/")[2] for name in others}
    assert await bucket.unfinished() == len(others)


async def test_a_list_of_more_than_one_page(near: S3Store, bucket: Bucket) -> None:
    made = {ids.new("part") for _ in range(1005)}
    one = asyncio.Semaphore(16)

    async with bucket.client() as client:

        async def put(key: str) -> None:
            async with one:
                await client.put_object(Bucket=bucket.name, Key=f"some/where/{place(key)}", Body=b"")

        await asyncio.gather(*map(put, made))

    assert await keys(near) == made


async def test_what_takes_too_long_is_given_up(near: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "STORED_WITHIN", timedelta(seconds=0.5))

    async def stalls() -> AsyncIterator[bytes]:
        yield content(PART + 1)
        await asyncio.Event().wait()

    with pytest.raises(StoreUnavailable, match="too long"):
        await near.put(ids.new("file"), stalls())

    assert await unfinished(near) == 0


async def test_a_bucket_that_is_not_there(bucket: Bucket) -> None:
    store = Bucket("s3://no-such-bucket/x", bucket.endpoint_url).store()

    with pytest.raises(StoreUnavailable, match="NoSuchBucket"):
        await store.put(ids.new("file"), pieces(b"x"))
    with pytest.raises(StoreUnavailable, match="NoSuchBucket"):
        await anext(store.open(ids.new("file")))

    await store.close()


async def test_secrets_are_told_to_nobody(
    far: S3Store, line: Line, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.INFO):
        await far.put(ids.new("file"), pieces(b"x"))
        await line.cut()
        with pytest.raises(StoreUnavailable) as error:
            await everything(far, ids.new("file"))

    shown = capsys.readouterr()
    for text in (caplog.text, shown.out, shown.err, repr(far), repr(CREDENTIALS), repr(error.value)):
        assert SECRET not in text
