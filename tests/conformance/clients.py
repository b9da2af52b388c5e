"""The clients that programs still have, each in an environment of its own under `.cache/clients`.

`clients/<name>.txt` pins a Python environment to the last package, `clients/<name>/package-lock.json` one of npm's. An
environment that was made from other pins, or for another Python, counts as missing.
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
    """A Python package at one version, and what it needs."""

    name: str

    @property
    def pins(self) -> Path:
        return HERE / "clients" / f"{self.name}.txt"

    @property
    def version(self) -> str:
        return self.name.rpartition("-")[2]

    @property
    def directory(self) -> Path:
        return ENVIRONMENTS / self.name

    @property
    def python(self) -> Path:
        return self.directory / "bin" / "python"

    @property
    def command(self) -> list[str | Path]:
        """What runs a program, before the program's name."""
        return [self.python, "-I"]

    @property
    def environment(self) -> dict[str, str]:
        """Variables that a program needs to find the client."""
        return {}

    @property
    def suffix(self) -> str:
        return ".py"

    @property
    def stamp(self) -> Path:
        """Holds the fingerprint of what was installed; written last, so that half an environment has none."""
        return self.directory / "installed"

    def fingerprint(self) -> str:
        """Of the pins, and of the Python that they were installed for."""
        return hashlib.sha256(self.pins.read_bytes() + sys.version.encode()).hexdigest()

    def is_installed(self) -> bool:
        return self.stamp.exists() and self.stamp.read_text() == self.fingerprint()


@dataclass(frozen=True)
class NodeClient(Client):
    """A package of npm's at one version, and what it needs. Node itself is the machine's."""

    @property
    def pins(self) -> Path:
        return HERE / "clients" / self.name / "package-lock.json"

    @property
    def command(self) -> list[str | Path]:
        return ["node"]

    @property
    def environment(self) -> dict[str, str]:
        return {"NODE_PATH": str(self.directory / "node_modules")}

    @property
    def suffix(self) -> str:
        return ".cjs"


V1 = Client("openai-1.2.3")
V2 = [Client("openai-1.30.5"), Client("openai-1.109.1"), Client("openai-2.54.0"), Client("openai-3.54.0")]
NODE_V1 = NodeClient("npm-openai-4.16.0")  # the first that has beta.threads
NODE = NodeClient("npm-openai-7.57.0")  # the newest
LANGCHAIN = Client("langchain-community-0.3.31")
LLAMA_INDEX = Client("llama-index-agent-openai-0.4.12")
SEMANTIC_KERNEL = Client("semantic-kernel-1.45.0")
CLIENTS = [V1, *V2, NODE_V1, NODE, LANGCHAIN, LLAMA_INDEX, SEMANTIC_KERNEL]
