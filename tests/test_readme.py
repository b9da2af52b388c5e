"""What the README tells a newcomer to type does what it says."""

import asyncio
import os
import re
import sys
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

from infra.cli import app
from shared.settings import PREFIX, Settings
from tests.scripted_model import Say, ScriptedModel
from tests.system import Project

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
TASKS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["poe"]["tasks"]
BLOCKS = re.findall(r"```(sh|python)\n(.*?)```", README, flags=re.DOTALL)
COMMANDS = re.findall(
    r"uv run (.+?)(?:\s+#.*)?$", "\n".join(code for kind, code in BLOCKS if kind == "sh"), flags=re.MULTILINE
)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_exists(command: str) -> None:
    """`assistantd up`, `demo` and `status` are run for real in tests/infra/test_up.py."""
    program, *arguments = command.split()
    match program:
        case "assistantd":
            assert arguments[0] in get_command(app).commands  # type: ignore[attr-defined]
        case "poe":
            assert arguments in [[task] for task in TASKS]
        case _:
            pytest.fail(f"the README names a program that no test knows: {program}")


def test_its_tasks_exist() -> None:
    assert set(re.findall(r"poe ([\w-]+)", README)) <= set(TASKS)


def test_its_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", README):
        assert (ROOT / target).exists(), target


def test_its_settings_are_all_there_are() -> None:
    table = README.split("## Settings")[1].split("## ")[0]
    named = set(re.findall(r"`([A-Z_]+)`", table)) - {PREFIX}

    assert named == {name.upper() for name in Settings.model_fields} - {"NOTIFY_SOCKET", "CRASH_AT"}


async def test_the_program_runs(project: Project, model: ScriptedModel) -> None:
    """With the lines before and after it as printed: only the address and the key are ours."""
    model.script(Say("A number for books."), name="gpt-4o")
    (program,) = (code for kind, code in BLOCKS if kind == "python")
    program = program.replace("http://127.0.0.1:8000/v1", project.base_url).replace("sk-assistantd-…", project.key)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "ignore",
        "-c",
        program,
        env={**os.environ, "OPENAI_API_KEY": "for the line before"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )

    output, errors = await process.communicate()

    assert output.decode() == "completed A number for books.\n", errors.decode()
