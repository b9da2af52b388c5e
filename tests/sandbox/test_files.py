"""Files: put, list, get, with names and things that mean harm."""

import os
from pathlib import Path

import pytest

from tests.sandbox.calls import run, value
from worker.sandbox import files
from worker.sandbox.client import SandboxSession
from worker.sandbox.errors import BadRequestError, NotFoundError, TooLargeError
from worker.sandbox.files import BadNameError, Incoming


async def test_a_file_goes_in_and_comes_out_unchanged(session: SandboxSession) -> None:
    content = os.urandom(3_000_000)
    await session.put("Größe 1.bin", content)

    assert await value(session, "len(open('/mnt/data/Größe 1.bin', 'rb').read())") == "3000000"
    assert await session.read("Größe 1.bin") == content
    (listed,) = await session.files()
    assert (listed.name, listed.size) == ("Größe 1.bin", 3_000_000)


async def test_a_changed_file_has_another_version(session: SandboxSession) -> None:
    await session.put("a.txt", b"one")
    await session.put("b.txt", b"same")
    before = {file.name: file.version for file in await session.files()}
    code = "import os\nwith open('/mnt/data/a.txt', 'w') as f: f.write('two')\nos.utime('/mnt/data/a.txt', (0, 0))"
    await run(session, code)
    after = {file.name: file.version for file in await session.files()}

    assert after["a.txt"] != before["a.txt"]
    assert after["b.txt"] == before["b.txt"]


async def test_files_in_directories_are_listed_by_their_paths(session: SandboxSession) -> None:
    await run(session, "import os\nos.makedirs('/mnt/data/out/deep')\nopen('/mnt/data/out/deep/x.csv', 'w').write('1')")

    assert [file.name for file in await session.files()] == ["out/deep/x.csv"]
    assert await session.read("out/deep/x.csv") == b"1"


async def test_names_are_shown_clean_and_stay_apart(session: SandboxSession) -> None:
    code = """
import os
for name in (b"a\\nb.txt", b"a\\x1bb.txt", b"a_b.txt", b"\\xff.txt", "\\u202egnp.exe".encode(), b"..."):
    with open(b"/mnt/data/" + name, "wb") as file:
        file.write(name)
"""
    await run(session, code)
    names = [file.name for file in await session.files()]

    assert sorted(names) == sorted(["a_b.txt", "a_b (2).txt", "a_b (3).txt", "...", "_gnp.exe", "\ufffd.txt"])
    contents = {name: await session.read(name) for name in names}
    assert {contents[name] for name in names if name.startswith("a_b")} == {b"a\nb.txt", b"a\x1bb.txt", b"a_b.txt"}


@pytest.mark.parametrize("name", ["../x", "..", ".", "a/b", "a\nb", "a\x00b", "\u202ex", "x" * 256])
async def test_names_that_mean_harm_are_refused(session: SandboxSession, name: str) -> None:
    with pytest.raises((BadRequestError, NotFoundError)):
        await session.put(name, b"x")
    with pytest.raises(BadNameError):
        files.check_name(name)


async def test_what_is_too_large_is_refused_and_leaves_nothing(session: SandboxSession) -> None:
    with pytest.raises(TooLargeError):
        await session.put("huge", bytes((100 << 20) + 1))

    assert await session.files() == []
    assert await value(session, "import os\nos.listdir('/mnt/data')") == "[]"


async def test_a_missing_file_is_not_found(session: SandboxSession) -> None:
    for name in ("nothing", "../../etc/passwd", "/etc/passwd"):
        with pytest.raises(NotFoundError):
            await session.read(name)


async def test_a_directory_is_not_replaced(session: SandboxSession) -> None:
    await run(session, "import os\nos.mkdir('/mnt/data/taken')")

    with pytest.raises(BadRequestError, match="can't be put there"):
        await session.put("taken", b"x")


def test_an_upload_that_breaks_off_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(b"old")
    incoming = Incoming(tmp_path, "kept", None)
    incoming.write(b"half")
    incoming.abandon()

    assert (tmp_path / "kept").read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["kept"]


def test_an_upload_replaces_a_link_and_not_what_it_leads_to(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"host")
    place = tmp_path / "data"
    place.mkdir()
    (place / "name").symlink_to(outside)
    incoming = Incoming(place, "name", None)
    incoming.write(b"new")
    incoming.finish()

    assert outside.read_bytes() == b"host"
    assert (place / "name").read_bytes() == b"new"
    assert not (place / "name").is_symlink()
