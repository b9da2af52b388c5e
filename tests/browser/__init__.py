"""A real browser for tests: Debian's Chromium, as any user of Debian has it."""

import os
import shutil

import pytest

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
PACKAGE = "chromium-headless-shell"  # without what draws windows: 60 MB where the whole has 80
INSTEAD = f"no Chromium on this machine's PATH: apt-get install {PACKAGE}"


def executable() -> str | None:
    """Where a Chromium is, if there is one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def require() -> str:
    """The browser. Skips the test where there is none; never in CI."""
    if (found := executable()) is not None:
        return found
    if os.environ.get("CI") == "true":
        pytest.fail(INSTEAD)
    pytest.skip(INSTEAD)
