"""Getting the manual: a Debian package, by apt's own client, unpacked without being installed."""

import shutil
import subprocess
from pathlib import Path

PACKAGE = "postgresql-doc-15"
PAGES = f"usr/share/doc/{PACKAGE}/html"

INSTEAD = f"""The benchmark reads the pages of Debian's package {PACKAGE}. Where `apt-get download {PACKAGE}` does not \
work, fetch the package on another machine, unpack it with `dpkg -x FILE DIRECTORY`, and name the directory that has \
bookindex.html in it: --manual DIRECTORY/{PAGES}"""


class NoManual(Exception):
    """The package can't be had; the message says what to do."""


def manual(cache: Path) -> Path:
    """The directory of the manual's pages, downloaded once. Raises NoManual."""
    unpacked = cache / PACKAGE
    if not unpacked.exists():
        if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
            raise NoManual(f"There is no apt-get here. {INSTEAD}")
        draft = cache / f"{PACKAGE}.new"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        _run("apt-get", "download", PACKAGE, cwd=draft)
        _run("dpkg", "-x", next(draft.glob("*.deb")).name, "unpacked", cwd=draft)
        (draft / "unpacked").rename(unpacked)
        shutil.rmtree(draft)
    return unpacked / PAGES


def _run(*command: str, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoManual(f"`{' '.join(command)}` failed: {done.stderr.strip()}\n{INSTEAD}")
