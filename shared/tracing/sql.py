"""Statements as spans: by the names that they have in our code, and never with their values."""

import sys
from collections.abc import Iterator

from sqlalchemy import Delete, Executable, Insert, TextClause, Update, text

from shared.tracing.spans import NOTHING, STATE, Span

OURS = ("api", "shared", "worker")

_NAMES: dict[int, tuple[Executable, str]] = {}  # the statement is kept, so that its id stays its own


def named(name: str, sql: str) -> TextClause:
    """A statement with a name of its own: one that is made once and kept, but is no constant of a module."""
    statement = text(sql)
    _NAMES[id(statement)] = statement, name
    return statement


def statement_span(statement: Executable) -> Span:
    """A span for the execution of a statement within another span; what nobody waits for, such as a sweep, has none."""
    if STATE.tracing is None or STATE.tracing.current() is None:
        return NOTHING
    name = name_of(statement)
    return STATE.tracing.span(name, "client", {"db.system.name": "postgresql", "db.query.summary": name})


def name_of(statement: Executable) -> str:
    """`runs.CREATE` for a constant of `shared.runs.statements`; what is put together by SQLAlchemy: verb and table."""
    if (known := _NAMES.get(id(statement))) is None:
        match statement:
            case Insert() | Update() | Delete():
                return f"{type(statement).__name__.lower()} {getattr(statement.table, 'name', '')}"
            case TextClause():
                _NAMES.update({id(constant): (constant, name) for constant, name in _constants()})
                known = _NAMES.setdefault(id(statement), (statement, _verb(statement)))
            case _:
                return type(statement).__name__.lower()
    return known[1]


def _constants() -> Iterator[tuple[TextClause, str]]:
    """Of all modules of ours that are loaded."""
    for module_name, module in list(sys.modules.items()):
        place = module_name.split(".")
        if place[0] in OURS:
            where = place[-2] if place[-1] == "statements" else place[-1]
            for name, value in vars(module).items():
                if isinstance(value, TextClause) and id(value) not in _NAMES:
                    yield value, f"{where}.{name.lstrip('_')}"


def _verb(statement: TextClause) -> str:
    return statement.text.split(maxsplit=1)[0].lower()
