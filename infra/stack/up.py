"""One run of `assistantd up`, from the first line it prints to the last."""

import contextlib
import os
import sys
import time
from datetime import UTC, datetime

from infra.embedded import process
from infra.embedded.process import EmbeddedError
from infra.stack.directory import AlreadyRunningError, DataDirectory, Facts, RunningPart
from infra.stack.stack import PREPARE, Options, Stack, assemble
from infra.stack.supervisor import StackError, StoppedError, Supervisor

TOY_NOTICE = (
    "The model is a toy (SmolLM2, 135 million parameters): "
    "set ASSISTANTD_MODEL_BASE_URL and ASSISTANTD_MODEL_API_KEY for a real one."
)
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")


def run(directory: DataDirectory, options: Options, *, began: float) -> int:
    """Start everything, watch it until somebody asks for the end, stop it; the answer is the exit status.

    `began` is when the command began, on the monotonic clock. Raises SettingsError before anything is started.
    """
    try:
        with directory:
            _check_port(options)
            _Up(directory, options, assemble(directory, options), began).run()
    except (AlreadyRunningError, EmbeddedError, StackError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _check_port(options: Options) -> None:
    problem = process.port_problem(options.port, options.host)
    if problem is not None:
        raise StackError(f"can't listen on {options.host} port {options.port}: {problem} (choose with --port)")


class _Up:
    """The stack, and what its user is told."""

    def __init__(self, directory: DataDirectory, options: Options, stack: Stack, began: float) -> None:
        self._directory = directory
        self._options = options
        self._stack = stack
        self._began = began
        self._started_at = datetime.now(UTC)
        self._supervisor = Supervisor(stack.stages, self._say, on_change=self._write_facts)

    def run(self) -> None:
        """Raises StackError after everything has been stopped."""
        # Asked to stop while starting: that is a stop like any other.
        with contextlib.suppress(StoppedError), self._supervisor.session():
            self._announce()
            known = str(self._directory.read_env().get("OPENAI_API_KEY", ""))
            self._supervisor.start({PREPARE: known})
            self._welcome(self._stack.prepare.output.strip().rpartition("\n")[2])
            self._supervisor.run()
        self._say("assistantd", "stopped")

    def _say(self, name: str, what: str) -> None:
        print(f"{time.monotonic() - self._began:6.1f} s  {name:<11} {what}", flush=True)

    def _write_facts(self) -> None:
        stack, settings = self._stack, self._stack.settings
        parts = [
            RunningPart(name=part.name, pid=None if part.process is None else part.process.pid, log=part.log)
            for part in stack.parts
        ]
        facts = Facts(
            started_at=self._started_at,
            pid=os.getpid(),
            base_url=stack.base_url,
            database_url=settings.database_url,
            redis_url=settings.redis_url,
            flower_url=stack.flower_url,
            model=stack.model_name,
            parts=parts,
        )
        self._directory.write_facts(facts)

    def _announce(self) -> None:
        """What should be known before it starts."""
        self._say("assistantd", f"data in {self._directory.root}")
        if self._stack.blocked_by is not None:
            names = ", ".join(part.name for part in self._stack.parts if not part.keeps_data)
            print(
                f"          running as root: {names} (another user may not enter {self._stack.blocked_by}, "
                "where Python is; run this as an ordinary user)"
            )
        if self._stack.sandbox.missing is not None:
            print(f"          {self._stack.sandbox.missing}")
        if self._options.host not in LOOPBACK_NAMES:
            print(f"          listening on {self._options.host}: whoever reaches it needs a key, but no TLS")

    def _welcome(self, key: str) -> None:
        """How to use what runs now, for people and, in the directory's `env`, for shells."""
        stack, url = self._stack, f"{self._stack.base_url}/v1"
        variables = {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": key}
        if stack.flower_url is not None:
            variables["FLOWER_URL"] = stack.flower_url
        self._directory.write_env(variables)
        lines = [
            "",
            f"Ready in {time.monotonic() - self._began:.1f} s.",
            "",
            f"  Base URL     {url}",
            f"  Project key  {key}",
            *([f"  Flower       {stack.flower_url}"] if stack.flower_url is not None else []),
            f"  All of it    set -a; . {self._directory.env}",
            "",
            "    from openai import OpenAI",
            f'    client = OpenAI(base_url="{url}", api_key="{key}")',
            '    print(client.beta.assistants.create(model="gpt-4o", instructions="Be brief."))',
            "",
        ]
        if stack.is_toy:
            lines += [TOY_NOTICE, ""]
        print("\n".join([*lines, "Ctrl-C stops it."]), flush=True)
