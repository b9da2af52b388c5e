"""Executing one cell after another in the same namespace."""

import ast
import asyncio
import builtins
import contextlib
import inspect
import io
import linecache
import sys
import traceback
import types
from typing import Any, Literal

from .channel import Channel, Interrupts
from .display import Display, picture
from .output import Output, Stream

Status = Literal["ok", "error", "interrupted"]
REMEMBERED = 100  # cells whose source is kept for tracebacks
LONGEST_MESSAGE = 10_000  # characters of an error's message; a traceback has ten times that
HERE = __file__.rpartition("/")[0]
FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


class Cells:
    """The interpreter: variables that stay, a counter, and what code finds as `display`, `input`, `sys.stdout`."""

    def __init__(
        self, channel: Channel, interrupts: Interrupts, output: Output, display: Display, renames: dict[str, str]
    ) -> None:
        """`renames`: paths that code names, and where they are."""
        self._channel = channel
        self._interrupts = interrupts
        self._output = output
        self._display = display
        self._renames = renames
        self._loop: asyncio.AbstractEventLoop | None = None
        self._streams = Stream(output, "stdout"), Stream(output, "stderr")
        main = types.ModuleType("__main__")
        main.__dict__["__builtins__"] = builtins
        sys.modules["__main__"] = main  # so that what is defined in a cell can be pickled and found again
        self._names = main.__dict__

    def run(self, code: str) -> Status:
        """Execute one cell and send what comes of it. Nothing that code raises gets out of here."""
        for named, real in self._renames.items():
            code = code.replace(named, real)
        self._prepare()
        status: Status = "error"
        try:
            self._interrupts.armed = True
            try:
                self._execute(code)
                status = "ok"
            except KeyboardInterrupt as error:
                status = "interrupted"
                self._report(error)
            except SystemExit as error:
                if error.code not in (None, 0):
                    self._report(error)
                else:
                    status = "ok"
            except BaseException as error:  # noqa: BLE001 - whatever code raises is its user's to see
                self._report(error)
        except KeyboardInterrupt:
            status = "interrupted"  # it came while an error was being told
        self._interrupts.disarm()
        with contextlib.suppress(KeyboardInterrupt):
            self._output.flush()
        return status

    def _prepare(self) -> None:
        self._output.begin()
        self._display.begin()
        self._display.viewer()
        sys.stdout, sys.stderr = self._streams
        sys.stdin = _NoInput()
        builtins.input = _no_input
        builtins.display = self._display  # type: ignore[attr-defined]

    def _execute(self, code: str) -> None:
        name = f"<cell {self._channel.call}>"
        linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
        linecache.cache.pop(f"<cell {self._channel.call - REMEMBERED}>", None)
        tree = ast.parse(code, name)
        last = tree.body[-1] if tree.body else None
        value = None
        if isinstance(last, ast.Expr):
            tree.body.pop()
        self._evaluate(compile(tree, name, "exec", FLAGS))
        if isinstance(last, ast.Expr):
            value = self._evaluate(compile(ast.Expression(last.value), name, "eval", FLAGS))
        if value is not None and not code.rstrip().endswith(";"):  # as in notebooks: a semicolon keeps it quiet
            self._show(value)
        self._display.figures()

    def _evaluate(self, code: types.CodeType) -> Any:
        if not code.co_flags & inspect.CO_COROUTINE:
            return eval(code, self._names)  # noqa: S307 - what this program is for
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        return self._loop.run_until_complete(types.FunctionType(code, self._names)())

    def _show(self, value: Any) -> None:
        self._names["_"] = value
        if picture(value) is None:
            self._output.write("result", f"{value!r}\n")
        elif not self._is_open(value):
            self._display(value)

    def _is_open(self, figure: Any) -> bool:
        """Whether pyplot shows the figure anyway when the cell ends."""
        pyplot = sys.modules.get("matplotlib.pyplot")
        return pyplot is not None and any(pyplot.figure(number) is figure for number in pyplot.get_fignums())

    def _report(self, error: BaseException) -> None:
        try:
            message = str(error)
        except Exception:  # noqa: BLE001 - an error whose text is an error
            message = "(its message can't be shown)"
        fields = {
            "name": type(error).__name__[:200],
            "message": message[:LONGEST_MESSAGE],
            "traceback": _traceback(error)[-10 * LONGEST_MESSAGE :],
        }
        for real, known in ((real, named) for named, real in self._renames.items()):
            fields = {key: text.replace(real, known) for key, text in fields.items()}
        self._output.flush()
        with self._interrupts.deferred():
            self._channel.send(
                "error", **{key: text.encode("utf-8", "replace").decode() for key, text in fields.items()}
            )


def _traceback(error: BaseException) -> str:
    """The traceback as users know it, less our own frames and all but the last of a library's. Code that can't even be
    parsed has none.
    """
    try:
        told = traceback.TracebackException.from_exception(error, limit=-100)
        _trim(told)
        return "".join(told.format() if told.stack else told.format_exception_only())
    except Exception:  # noqa: BLE001 - code may have made its errors so that they can't be told
        return f"{type(error).__name__}\n"


def _trim(told: traceback.TracebackException) -> None:
    ours = [frame for frame in told.stack if not frame.filename.startswith(HERE)]
    users = [number for number, frame in enumerate(ours) if not _is_library(frame.filename)]
    kept = [frame for number, frame in enumerate(ours) if number in users or (users and number == len(ours) - 1)]
    told.stack = traceback.StackSummary.from_list(kept)
    for other in (told.__cause__, told.__context__):
        if other is not None:
            _trim(other)


def _is_library(filename: str) -> bool:
    return filename.startswith((sys.prefix, "<frozen")) or "site-packages" in filename


def _no_input(_prompt: object = "", /) -> str:
    raise EOFError("input() is not available: nobody can type here")


class _NoInput(io.TextIOBase):
    """`sys.stdin`."""

    encoding = "utf-8"

    def readable(self) -> bool:
        return True

    def read(self, _size: int | None = -1, /) -> str:
        return _no_input()

    def readline(self, _size: int = -1, /) -> str:  # type: ignore[override] # the base class knows bytes as well
        return _no_input()

    def fileno(self) -> int:
        return 0
