"""Both stores, empty."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from shared.files.storage import BlobStore, LocalStore
from tests.bucket import Bucket, new_bucket, s3_server


@pytest.fixture(scope="session")
def s3_url(room: Path) -> Iterator[str]:
    with s3_server(room / "s3.log") as url:
        yield url


@pytest.fixture
async def bucket(s3_url: str) -> Bucket:
    return await new_bucket(s3_url)


@pytest.fixture(params=["local", "s3"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BlobStore]:
    if request.param == "local":
        made: BlobStore = LocalStore(tmp_path / "files")
    else:
        made = (await new_bucket(request.getfixturevalue("s3_url"))).store()
    yield made
    await made.close()
