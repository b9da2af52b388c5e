"""The benchmark of reading files, in its shortest form."""

from tests.benchmarks.ingest import FORMATS, measure


async def test_each_format_has_a_cost() -> None:
    found = await measure(2, times=1)
    assert found.keys() == FORMATS.keys()
    assert all(one.seconds > 0 and one.chunks >= 2 for _, one in found.values()), found
