"""The running server and the command line: files are sealed on disk, and by other keys while it goes on."""

import asyncio
import base64
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.system import ENCRYPTION_KEY, Project, System

PLANTED = b"whoever reads this in the store reads too much"


async def command(system: System, *arguments: str, keys: str | None = ENCRYPTION_KEY) -> str:
    """What `assistantd encryption` says."""
    variables = {**os.environ, **system.environment()}
    del variables["ASSISTANTD_ENCRYPTION_KEYS"]
    more = {} if keys is None else {"ASSISTANTD_ENCRYPTION_KEYS": keys}
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "infra.cli", "encryption", *arguments],
        env={**variables, **more},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr or "retired" in done.stderr or done.returncode, done.stderr
    return done.stdout + (done.stderr if done.returncode else "")


def shown(system: System) -> list[Path]:
    """Files of the store in which the planted words can be read."""
    files = (path for path in (system.root / "data" / "files").rglob("*") if path.is_file())
    return [path for path in files if PLANTED in path.read_bytes()]


async def test_what_a_client_uploads_is_not_to_be_read_in_the_store(project: Project, system: System) -> None:
    file = await project.client.files.create(file=("words.txt", PLANTED * 3000), purpose="assistants")
    upload = await project.client.uploads.create(
        bytes=len(PLANTED), filename="a.txt", mime_type="text/plain", purpose="assistants"
    )
    await project.client.uploads.parts.create(upload.id, data=PLANTED)

    assert await asyncio.to_thread(shown, system) == []
    assert (await project.client.files.content(file.id)).content == PLANTED * 3000


async def test_other_keys_take_over_while_files_are_read(project: Project, system: System) -> None:
    file = await project.client.files.create(file=("words.txt", PLANTED * 3000), purpose="assistants")
    before = await command(system, "status")
    assert re.search(r"master [0-9a-f]{16} \(current\) +data keys: \d+ in use, 0 retired\n", before), before
    found = re.search(r"files: (\d+) sealed by keys in use, 0 by retired ones, 0 plain", before)
    assert found is not None, before
    kept = found[1]

    assert f"files: {kept} sealed, 0 were already" in await command(system, "seal", "--new-keys")

    assert f"files: {kept} sealed by keys in use, 0 by retired ones, 0 plain" in await command(system, "status")
    assert (await project.client.files.content(file.id)).content == PLANTED * 3000
    assert f"files: 0 sealed, {kept} were already" in await command(system, "seal")


async def test_a_master_key_that_is_not_at_hand_is_named(project: Project, system: System) -> None:
    await project.client.files.create(file=("words.txt", PLANTED), purpose="assistants")
    other = base64.b64encode(bytes(32)).decode()

    told = await command(system, "rewrap", keys=other)

    assert re.fullmatch(r"the master key [0-9a-f]{16} is not among ASSISTANTD_ENCRYPTION_KEYS\n", told)
    assert "not set: content and files are stored as they are" in await command(system, "status", keys=None)


async def test_another_master_key_takes_over(project: Project, system: System) -> None:
    """The servers go on with both at hand; afterwards everything is put back for the tests that follow."""
    file = await project.client.files.create(file=("words.txt", PLANTED), purpose="assistants")
    other = base64.b64encode(os.urandom(32)).decode()
    ((count,),) = system.query("SELECT count(*) FROM data_keys")
    try:
        told = await command(system, "rewrap", keys=f"{other},{ENCRYPTION_KEY}")
        assert told.startswith(f"{count} data keys rewrapped by the master key ")
        assert "(former)" not in await command(system, "status", keys=other)
    finally:
        await command(system, "rewrap", keys=f"{ENCRYPTION_KEY},{other}")
    assert (await project.client.files.content(file.id)).content == PLANTED
