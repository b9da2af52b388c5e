"""The official SDKs that programs still have, each in an environment of its own under `.cache/clients`.

`clients/<name>.txt` pins an environment to the last package. An environment that was made from other pins, or for
another Python, counts as missing.
"""

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parent.parent / ".cache" / "clients"
COMMAND = "uv run python -m tests.conformance.install"


@dataclass(frozen=True)
class Client:
    """An SDK at one version."""

    name: str

    @property
    def pins(self) -> Path:
        return HERE / "clients" / f"{self.name}.txt"

    @property
    def version(self) -> str:
        return self.name.removeprefix("openai-")

    @property
    def directory(self) -> Path:
        return ENVIRONMENTS / self.name

    @property
    def python(self) -> Path:
        return self.directory / "bin" / "python"

    @property
    def stamp(self) -> Path:
        """Holds the fingerprint of what was installed; written last, so that half an environment has none."""
        return self.directory / "installed"

    def fingerprint(self) -> str:
        """Of the pins, and of the Python that they were installed for."""
        return hashlib.sha256(self.pins.read_bytes() + sys.version.encode()).hexdigest()

    def is_installed(self) -> bool:
        return self.stamp.exists() and self.stamp.read_text() == self.fingerprint()


V1 = Client("openai-1.2.3")
V2 = [Client("openai-1.109.1"), Client("openai-2.54.0"), Client("openai-3.54.0")]
CLIENTS = [V1, *V2]
