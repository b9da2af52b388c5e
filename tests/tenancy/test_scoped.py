"""Every statement that touches rows of projects names the project, or is named here with the reason why it doesn't.

That it is named says nothing about how the parts of a statement hang together: `test_statements.py` shows for some that
it decides, and the wall stands behind all of them (`test_policies.py`).
"""

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import TextClause

import api
import shared
import worker
from shared import table
from shared.projects.rows import ApiKey
from shared.runs import statements as runs
from shared.runs import transitions
from shared.table import Page
from shared.threads.rows import Thread
from shared.transfer import statements as transfer
from shared.transfer.kinds import KINDS
from shared.vector_stores import ranking
from shared.vector_stores import statements as stores
from shared.vector_stores.ranking import Vectors
from tests.tenancy.rows import walled

ROOT = Path(__file__).parents[2]
PACKAGES = (api, shared, worker)

NOT_OURS = re.compile(r"\.migrations\b|\.inside\b|\.__main__$")
"""Modules that are no part of a running server, or that run elsewhere."""

_TABLES = "|".join(table.name for table in walled())
TOUCHES = re.compile(rf"\b(?:FROM|JOIN|UPDATE|INTO|USING) (?:{_TABLES})\b")
NAMES_THE_PROJECT = ":project_id"

WHOSEVER = {
    "shared.removals.": "what was deleted is removed, whosever it was",
    "shared.vault.": "keys that seal content are found by their own ids, and looked after for all projects",
    "shared.metrics.": "how much there is of everything",
    "shared.audit.": "the chain of all entries is the organization's",
}
"""Packages whose statements don't name a project, and why."""

UNSCOPED = {
    # The organization asks.
    "shared.projects.statements.CREATE": "the project is made",
    "shared.projects.statements.CREATE_KEY_BY_NAME": "the command line names the project",
    "shared.projects.statements.CREATE_ADMIN_KEY": "it is nobody's",
    "shared.projects.statements.REVOKE_ADMIN": "likewise",
    "shared.projects.statements.REVOKE_ANY": "the command line names the key alone",
    "shared.projects.statements.ARCHIVE": "the project is named, as its own id",
    "shared.projects.statements.DELETE": "likewise",
    "shared.projects.statements.NOTE": "likewise",
    "shared.projects.statements.LIST_KEYS": "the command line lists those of all projects",
    "shared.projects.statements.LIST_PROJECTS": "likewise",
    "shared.projects.statements.COUNT_HASHES": "the command line counts those of all projects",
    "shared.projects.statements.PLAIN_HASHES": "the command line has all of them hashed anew",
    "shared.projects.statements.REHASH": "likewise",
    "shared.projects.statements.OWNERS": "of keys that were read within their project",
    # Which project it is, is not known before.
    "shared.projects.statements.RECOGNISE": "a key tells whose it is",
    "shared.projects.statements.NOTE_USE": "of a key that was recognised",
    "shared.transfer.statements.FILE": "an import learns whether an id is taken, and by whom",
    # What a worker holds, by its id and term: nobody else can have both.
    "shared.runs.statements.AS_WRITTEN": "a run that is held",
    "shared.runs.statements.RENEW": "likewise",
    "shared.runs.statements._READ_CONTEXT": "the thread of a run that is held",
    "shared.vector_stores.statements.RENEW": "files that are held",
    "shared.vector_stores.reading.BEGIN": "a file that is held",
    "shared.vector_stores.reading.COPY": "likewise; from a file of the same project",
    "shared.vector_stores.reading.KEEP": "likewise",
    "shared.vector_stores.reading.MARK_READ": "likewise",
    "shared.vector_stores.embedding.BEGIN": "likewise",
    "shared.vector_stores.embedding.CHUNKS": "likewise",
    "shared.vector_stores.embedding.KEEP": "likewise",
    "shared.vector_stores.embedding.END": "likewise",
    "shared.vector_stores.embedding.KEEP_ANEW": "likewise",
    "shared.vector_stores.embedding.SWITCH": "likewise",
    # Whose turn it is, or what is due, is asked of all projects.
    "shared.runs.statements.BY_IDS": "runs that clients of all projects listen to, who were let in by their own",
    "shared.runs.statements.FREE_THREADS": "threads whose next run may begin",
    "shared.runs.statements.PROMOTE": "one of these, or of a run that has just ended",
    "shared.runs.statements.RING_AGAIN": "runs that nobody has heard of",
    "shared.runs.statements.TURN": "the project that holds the fewest",
    "shared.projects.statements.LIMITED": "is any project limited?",
    "shared.vector_stores.embedding.CLAIM_STALE": "files with vectors of a former model",
    "shared.vector_stores.indexes.DUE": "an index for each space of vectors",
    "shared.vector_stores.statements.WAITING": "files that nobody has heard of",
    # What has had its time.
    "shared.files.statements.DELETE_EXPIRED": "files",
    "shared.files.statements.WITHOUT_ROWS": "bytes that have no row are nobody's",
    "shared.files.statements.AFTER": "bytes that are sealed anew, one project after the other",
    "shared.files.statements.IS_THERE": "one of these",
    "shared.idempotency.statements.FORGET": "answers",
    "shared.uploads.statements.PARTS_DUE": "parts of uploads that are over",
    "shared.uploads.statements.FORGET_PARTS": "these",
    "shared.uploads.statements.FORGET": "uploads",
    "shared.vector_stores.reading.FORGET_LEFT_OVER": "chunks of files that are read by nobody any more",
    "shared.vector_stores.statements.FORGET_REMOVED": "places in lists",
    # What all projects used is added up together.
    "shared.usage.budgets._EXHAUSTED": "budgets",
    "shared.usage.statements.ADD_UP": "facts",
    "shared.usage.statements.COARSEN": "minutes",
    "shared.usage.statements.FORGET_HOURS": "hours of the code interpreter",
    "shared.usage.statements.LOOK_AT_BYTES": "bytes",
}
"""Statements that don't name the project, and why."""

CANCEL = runs.cancel(transitions.cancel_waiting(), "run_1", "proj_1")
SUBMIT = runs.submit(transitions.resume(), "run_1", "proj_1", 1, {})

MADE: dict[str, list[TextClause]] = {
    "shared/runs/statements.py _cancel": [CANCEL.sql],
    "shared/runs/statements.py _submit": [SUBMIT.sql],
    "shared/transfer/statements.py insert": [transfer.insert(kind, ("id",)) for kind in KINDS.values()],
    "shared/transfer/statements.py look": [transfer.look(kind, ("id",)) for kind in KINDS.values()],
    "shared/vector_stores/ranking.py search": [ranking.search(vectors) for vectors in Vectors],
    "shared/vector_stores/statements.py _moved": [stores.cancel_batch("vsfb_1", "proj_1").sql],
}
"""Functions that put statements of projects together, and what they make."""

MADE_OTHERWISE = {
    "shared/table.py _select": "its callers have to name the project: see below",
    "shared/table.py _delete": "likewise",
    "shared/table.py _select_page": "likewise",
    "shared/table.py _living_one": "a condition of theirs",
    "shared/columns.py json": "a default",
    "shared/tracing/sql.py named": "makes no statement of its own",
    "shared/projects/statements.py modify": "the project is named, as its own id",
    "shared/removals/statements.py _remove": "as all of its package",
    "shared/vault/resealing.py _read": "likewise",
    "shared/vault/resealing.py _write": "likewise",
    "shared/files/statements.py delete_some": "what has had its time, whosever it is",
    "shared/runs/statements.py _claim": "whose turn it is, is asked of all projects",
    "shared/runs/statements.py _settle": "a run that is held, by its id and term",
    "shared/runs/statements.py _sweep": "runs that nobody holds any more",
    "shared/usage/reading.py _counts": "an admin key asks, for any projects",
    "shared/usage/reading.py _stored": "likewise",
    "shared/usage/reading.py _kept_beyond": "likewise",
    "shared/vector_stores/statements.py _claim": "whose turn it is, is asked of all projects",
    "shared/vector_stores/statements.py _sweep": "files that nobody holds any more",
    "shared/vector_stores/statements.py _expire": "stores that have had their time",
    "worker/ingest/indexes.py index_one": "a statement of `shared/vector_stores/indexes.py`, which makes indexes",
}
"""Functions that put others together, and why these don't name the project."""


def _constants() -> Iterator[tuple[str, TextClause]]:
    """Statements that are constants of modules, or in a mapping that is one."""
    for package in PACKAGES:
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if NOT_OURS.search(found.name):
                continue
            module = importlib.import_module(found.name)
            for name in _assigned(Path(str(module.__file__))):
                value = vars(module)[name]
                for one in value.values() if isinstance(value, dict) else [value]:  # pyright: ignore[reportUnknownVariableType]
                    if isinstance(one, TextClause):
                        yield f"{found.name}.{name}", one


def _assigned(path: Path) -> list[str]:
    """Names that a module has of itself, and from no other."""
    nodes = ast.parse(path.read_text()).body
    targets = [target for node in nodes if isinstance(node, ast.Assign) for target in node.targets]
    targets += [node.target for node in nodes if isinstance(node, ast.AnnAssign) and node.value is not None]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def test_every_statement_names_the_project_or_a_reason() -> None:
    statements = list(_constants())
    unscoped = {
        name
        for name, statement in statements
        if TOUCHES.search(statement.text) and NAMES_THE_PROJECT not in statement.text
    }
    whosever = {name for name in unscoped if name.startswith(tuple(WHOSEVER))}

    assert unscoped - whosever == UNSCOPED.keys()
    assert {prefix for prefix in WHOSEVER for name in whosever if name.startswith(prefix)} == WHOSEVER.keys()
    assert len({id(statement) for _, statement in statements}) > 150


def test_every_function_that_makes_a_statement_is_known() -> None:
    assert set(_makers()) == MADE.keys() | MADE_OTHERWISE.keys()
    assert MADE.keys().isdisjoint(MADE_OTHERWISE)


def _makers() -> Iterator[str]:
    """Functions in which a statement is made of text."""
    for package in PACKAGES:
        for path in sorted((ROOT / package.__name__).rglob("*.py")):
            if "migrations" in path.parts or path.name == "rows.py":  # which describe tables
                continue
            tree = ast.parse(path.read_text())
            makers = {alias.asname or alias.name for alias in _imported(tree)}
            for function in ast.walk(tree):
                if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                    called = {ast.unparse(one.func) for one in ast.walk(function) if isinstance(one, ast.Call)}
                    if called & makers:
                        yield f"{path.relative_to(ROOT)} {function.name}"


def _imported(tree: ast.Module) -> Iterator[ast.alias]:
    """What a module has of what makes statements."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in ("sqlalchemy", "shared.tracing.sql"):
            yield from (alias for alias in node.names if alias.name in ("text", "named"))


@pytest.mark.parametrize("maker", MADE)
def test_what_is_made_for_a_project_names_it(maker: str) -> None:
    for statement in MADE[maker]:
        assert NAMES_THE_PROJECT in statement.text, statement.text


class Nobody:
    """Executes nothing."""

    async def all(self, statement: Any, params: Any = None) -> Any:
        raise AssertionError(f"{statement} was executed with {params}")

    async def one(self, statement: Any, params: Any = None) -> Any:
        await self.all(statement, params)


@pytest.mark.parametrize("model", [Thread, ApiKey])
async def test_no_row_of_a_project_is_asked_for_without_naming_it(model: Any) -> None:
    for asked in (
        table.get(Nobody(), model, {"id": "x"}),
        table.page(Nobody(), model, {}, Page()),
        table.modify(Nobody(), model, {"id": "x"}, {"metadata": {}}),
        table.remove(Nobody(), model, {"id": "x"}, "{}"),
    ):
        with pytest.raises(LookupError, match="within no project"):
            await asked
