"""The command line. Commands import what they need when they run: `--help` and `up` begin at once."""
# ruff: noqa: PLC0415 - what a command needs is loaded when it runs

import gc
import importlib.metadata
import sys
from typing import Annotated

import typer

from infra.cli import audit, demo, doctor, encryption, health, keys, processes, projects, sandbox, status, transfer, up

app = typer.Typer(
    name="assistantd",
    help="The OpenAI Assistants API on your own machines.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("up")(up.up)
app.command("status")(status.status)
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)
app.command("api")(processes.api)
app.command("worker")(processes.worker)
app.command("flower")(processes.flower)
app.command("embedder")(processes.embedder)
app.command("sandbox")(sandbox.sandbox)
app.command("sandbox-environment")(sandbox.sandbox_environment)
app.command("migrate")(processes.migrate)
app.command("export")(transfer.export)
app.command("import")(transfer.import_)
app.command("local-model", hidden=True)(processes.local_model)
app.command("healthcheck", hidden=True)(health.healthcheck)
app.command("prepare", hidden=True)(processes.prepare)
app.add_typer(keys.app, name="keys", help="API keys: create, list, revoke.")
app.add_typer(audit.app, name="audit", help="The audit log: list, verify.")
app.add_typer(encryption.app, name="encryption", help="Files at rest: state, another master key, other data keys.")
app.add_typer(projects.app, name="projects", help="Projects: create, list, rename, archive.")


def _version(wanted: bool) -> None:  # noqa: FBT001 - the option's callback gets the option
    if wanted:
        print(importlib.metadata.version("assistantd"))
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """The OpenAI Assistants API on your own machines."""


def main() -> None:
    """Run a command. A setting that is missing or unusable is one line on standard error and status 2."""
    gc.disable()  # until the command's code is loaded: see infra.cli.loading
    try:
        app()
    except Exception as error:
        from shared.settings import SettingsError

        if not isinstance(error, SettingsError):
            raise
        print(error, file=sys.stderr)
        sys.exit(2)
