"""Real processes in directories that an unprivileged account can reach."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def state() -> Iterator[Path]:
    """A directory for servers: pytest's own may only be entered by root, and servers don't run as root."""
    directory = Path(tempfile.mkdtemp(prefix="assistantd-"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory)
