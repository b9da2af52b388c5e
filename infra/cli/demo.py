"""`assistantd demo`: a whole conversation through the official client, printed as it happens."""
# ruff: noqa: PLC0415 - what a command needs is loaded when it runs

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.options import DataDir

if TYPE_CHECKING:
    from infra.stack.directory import DataDirectory


def demo(
    data_dir: DataDir = None,
    model: Annotated[str, typer.Option(help="The model to ask for.")] = "gpt-4o",
) -> None:
    """Talk to the running stack: an assistant, a thread, a streamed run, a function call. Needs `assistantd up`."""
    from openai import OpenAIError

    from infra.conversation import converse
    from infra.stack.configuration import data_directory

    url, key = _client_of(data_directory(data_dir))
    try:
        completed = converse(url, key, model)
    except OpenAIError as error:
        print(f"the server could not go on with it: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    if not completed:
        raise typer.Exit(1)


def _client_of(directory: "DataDirectory") -> tuple[str, str]:
    variables = directory.read_env()
    if directory.running() is None or "OPENAI_API_KEY" not in variables:
        print(f"no stack is running on {directory.root}: start one with `assistantd up`", file=sys.stderr)
        raise typer.Exit(1)
    return variables["OPENAI_BASE_URL"], variables["OPENAI_API_KEY"]
