"""`python -m tests.conformance.install` makes the environments of clients.py; those that are up to date stay."""

import os
import shutil
import subprocess
import sys

from tests.conformance.clients import CLIENTS, Client, NodeClient

UV = os.environ.get("UV", "uv")  # `uv run` says which uv it is


def install(client: Client) -> None:
    """Make the environment anew. Raises CalledProcessError; what is left then counts as missing."""
    client.stamp.unlink(missing_ok=True)
    if isinstance(client, NodeClient):
        _install_node(client)
    else:
        _install_python(client)
    client.stamp.write_text(client.fingerprint())


def _install_python(client: Client) -> None:
    subprocess.run([UV, "venv", "--quiet", "--clear", "--python", sys.executable, client.directory], check=True)
    into = ["--python", client.python, "--strict", "--compile-bytecode"]
    subprocess.run([UV, "pip", "sync", "--quiet", *into, client.pins], check=True)


def _install_node(client: NodeClient) -> None:
    shutil.copytree(client.pins.parent, client.directory, dirs_exist_ok=True)
    quietly = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(["npm", "ci", *quietly], cwd=client.directory, check=True)


def main() -> None:
    """Install what is missing."""
    for client in CLIENTS:
        if client.is_installed():
            print(f"{client.name}: up to date")
        elif isinstance(client, NodeClient) and shutil.which("npm") is None:
            print(f"{client.name}: left out, for there is no npm here")
        else:
            install(client)
            print(f"{client.name}: installed in {client.directory}")


if __name__ == "__main__":
    main()
