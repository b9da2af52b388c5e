"""What was said on threads and by runs. Rows hold it sealed: it is opened as a server would open it."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from shared.database import Database
from shared.vault.contents import Contents
from shared.vault.masters import MasterKeys
from shared.vault.vault import Vault
from tests.system import ENCRYPTION_KEY

_MESSAGES = text("SELECT id, thread_id, run_id, role, content FROM messages ORDER BY created_at, id")
_NAME = re.compile(r"chaos-\w+")


@dataclass(frozen=True)
class Said:
    """Texts of messages by id, for each run; and the names of runs that clients wrote on each thread."""

    by_runs: Mapping[str, Mapping[str, str]]
    names: Mapping[str, Sequence[str]]


async def said(database_url: str) -> Said:
    """All of it."""
    by_runs: dict[str, dict[str, str]] = defaultdict(dict)
    names: dict[str, list[str]] = defaultdict(list)
    async with Database(database_url, pool_size=2) as database:
        rows = await database.all(_MESSAGES)
        await Contents(Vault(database, MasterKeys.parse(ENCRYPTION_KEY))).decode([*rows])
    for row in rows:
        told = _text(row["content"])
        if row["role"] == "user":
            names[row["thread_id"]] += _NAME.findall(told)[:1]
        elif row["run_id"] is not None:
            by_runs[row["run_id"]][row["id"]] = told
    return Said(by_runs, names)


def _text(content: Sequence[Any]) -> str:
    return content[0]["text"]["value"] if content else ""
