"""`python -m tests.browser.install` installs Chromium by the machine's own apt, where there is none and root asks."""

import os
import shutil
import subprocess

from tests import browser


def main() -> None:
    """Install, or say what there is to do. Raises CalledProcessError where apt can't."""
    if (found := browser.executable()) is not None:
        print(f"browser: {found}")
    elif shutil.which("apt-get") is None or os.geteuid() != 0:
        print(f"browser: {browser.INSTEAD}")
    else:
        quietly = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], check=True, env=quietly)
        wanted = ["-y", "-qq", "--no-install-recommends", browser.PACKAGE]
        subprocess.run(["apt-get", "install", *wanted], check=True, env=quietly, stdout=subprocess.DEVNULL)
        print(f"browser: {browser.executable()}")


if __name__ == "__main__":
    main()
