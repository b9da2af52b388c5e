"""What the service reads from a session, made so that it reads something else, or never ends."""

import asyncio
import time

from tests.sandbox.attacks.attack import Attack
from tests.sandbox.attacks.bait import CANARY, Bait
from worker.sandbox.client import SandboxSession
from worker.sandbox.errors import NotFoundError, RefusalError

CLEAN = """
import shutil
os.chdir("/mnt/data")
for name in os.listdir("."):
    if os.path.isdir(name) and not os.path.islink(name):
        os.chmod(name, 0o700)
        shutil.rmtree(name)
    else:
        os.unlink(name)
"""
NONE = "it is about what the service does"


async def nothing_of_the_hosts(session: SandboxSession, bait: Bait) -> str | None:
    """List and read everything that is offered: no content of the machine's, nothing that hangs, clean names."""
    began = time.monotonic()
    listed = await session.files()
    for file in listed[:200]:
        if not file.name.isprintable():
            return f"a name that isn't clean: {file.name!r}"
        try:
            data = await asyncio.wait_for(session.read(file.name), 10)
        except NotFoundError:
            continue  # it was swapped meanwhile
        if CANARY.encode() in data:
            return f"{file.name} leads outside"
    names = [
        name
        for name in ("link", "dir/secret.txt", "fifo", "../secret.txt", "hard")
        if name not in {f.name for f in listed}
    ]
    for name in names:
        try:
            data = await asyncio.wait_for(session.read(name), 10)
        except RefusalError:
            continue
        return f"{name} was read: {data[:50]!r}"
    if time.monotonic() - began > 15:
        return "it takes too long"
    return None if bait.is_whole else "the bait was changed"


async def put_goes_nowhere(session: SandboxSession, bait: Bait) -> str | None:
    for name in ("target", "target2"):
        try:
            await session.put(name, b"OVERWRITTEN")
        except RefusalError:
            continue
    return None if bait.is_whole else "a link was written through"


async def swapping_leaks_nothing(session: SandboxSession, bait: Bait) -> str | None:
    """Sweep again and again while a file becomes a link and a file again."""
    swap = (
        "import os, time\nend = time.monotonic() + 4\nopen('a', 'w').write('mine')\nwhile time.monotonic() < end:\n"
        f"    os.symlink({str(bait.root / 'secret.txt')!r}, 'l'); os.rename('l', 'swap')\n"
        "    open('n', 'w').write('mine'); os.rename('n', 'swap')\n"
        f"    os.symlink({str(bait.root)!r}, 'l'); os.rename('l', 'dir')\n    os.unlink('dir')\n    os.mkdir('dir'); open('dir/secret.txt', 'w').write('mine')\n"
        "    os.unlink('dir/secret.txt'); os.rmdir('dir')"
    )

    async def swapping() -> None:
        async for _ in session.execute("swap", swap):
            pass

    task = asyncio.create_task(swapping())
    sweeps = 0
    while not task.done():
        await session.files()
        for name in ("swap", "dir/secret.txt"):
            try:
                data = await session.read(name)
            except RefusalError:
                continue
            if CANARY.encode() in data:
                return f"{name} led outside after {sweeps} sweeps"
        sweeps += 1
    await task
    return None if sweeps > 20 else f"only {sweeps} sweeps"


def trap(name: str, code: str, *, seconds: float = 5) -> Attack:
    return Attack(name, CLEAN + code, NONE, after=nothing_of_the_hosts, seconds=seconds)


ATTACKS = [
    trap("a link to a file", "os.symlink(BAIT['secret'], 'link')"),
    trap("a link to a directory", "os.symlink(BAIT['root'], 'dir')"),
    trap("a chain of links", "os.symlink('/', 'up'); os.symlink('up' + BAIT['secret'], 'link')"),
    trap("links in a circle", "os.symlink('b', 'a'); os.symlink('a', 'b'); os.symlink('.', 'self')"),
    trap("a link to /proc", "os.symlink('/proc/self/environ', 'link'); os.symlink('/proc/1/root', 'dir')"),
    trap("a pipe with a name", "os.mkfifo('fifo')"),
    trap("a socket with a name", "s = socket.socket(socket.AF_UNIX); s.bind('socket')"),
    trap("a file that nobody may read", "open('closed', 'w').write('x'); os.chmod('closed', 0); os.mkdir('shut', 0)"),
    trap(
        "names that mean harm",
        "for n in ('a\\nb', '\\x1b[2J', '\\u202etxt.exe', '\\u200b', 'a\\\\..\\\\b', '-rf', '<script>'): open(n, 'w').close()",
    ),
    trap(
        "names that are no text",
        "for n in (b'\\xff\\xfe', b'\\xed\\xa0\\x80', bytes(range(1, 32))): open(b'/mnt/data/' + n if os.path.isdir('/opt/runner') else n, 'w').close()",
    ),
    trap(
        "names that are long",
        "open('n' * 255, 'w').close(); os.makedirs('/'.join(['d' * 200] * 12)); open('/'.join(['d' * 200] * 12) + '/x', 'w').close()",
    ),
    trap(
        "directories within directories",
        "for _ in range(200): os.mkdir('d'); os.chdir('d')\n".replace(
            "for _ in range(200): ", "for _ in range(200):\n    "
        ).replace("; os.chdir", "; os.chdir"),
    ),
    trap("a huge file without content", "f = open('sparse', 'wb'); f.truncate(99 << 20)"),
    trap("thousands of files", "for n in range(3000): open(f'f{n}', 'w').close()"),
    trap(
        "a bomb in an archive",
        "import zipfile\nwith zipfile.ZipFile('bomb.zip', 'w', zipfile.ZIP_DEFLATED) as z: z.writestr('x', bytes(80 << 20))",
    ),
    trap(
        "a pickle for whoever loads it",
        "import pickle\nclass E:\n    def __reduce__(self): return (print, ('pickled',))\nopen('model.pkl', 'wb').write(pickle.dumps(E()))",
    ),
    trap(
        "taking the directory away",
        "attempt(os.rename, '/mnt/data', '/mnt/gone'); attempt(os.rmdir, '/mnt/data'); attempt(os.symlink, BAIT['root'], '/mnt/data')",
    ),
    Attack(
        "a link where a file will be put",
        "os.symlink(BAIT['precious'], 'target'); os.symlink(BAIT['root'], 'target2')",
        NONE,
        after=put_goes_nowhere,
        apart=True,
    ),
    Attack("swapping files for links meanwhile", "pass", NONE, after=swapping_leaks_nothing, apart=True),
]
