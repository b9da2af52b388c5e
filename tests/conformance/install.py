"""`python -m tests.conformance.install` makes the environments of clients.py; those that are up to date stay."""

import os
import subprocess
import sys

from tests.conformance.clients import CLIENTS, Client

UV = os.environ.get("UV", "uv")  # `uv run` says which uv it is


def install(client: Client) -> None:
    """Make the environment anew. Raises CalledProcessError; what is left then counts as missing."""
    client.stamp.unlink(missing_ok=True)
    subprocess.run([UV, "venv", "--quiet", "--clear", "--python", sys.executable, client.directory], check=True)
    into = ["--python", client.python, "--strict", "--compile-bytecode"]
    subprocess.run([UV, "pip", "sync", "--quiet", *into, client.pins], check=True)
    client.stamp.write_text(client.fingerprint())


def main() -> None:
    """Install what is missing."""
    for client in CLIENTS:
        if client.is_installed():
            print(f"{client.name}: up to date")
        else:
            install(client)
            print(f"{client.name}: installed in {client.directory}")


if __name__ == "__main__":
    main()
