"""Where our code may speak for the system: everything else has a database that is within a project."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]

OF_THE_SYSTEM = {"api": {"services.database"}, "worker": {"deps.system", "deps.vital"}}
"""Handlers have `services.executor` in place of it, and what works for a run or for a file `deps.database`."""

SPEAKS_FOR_IT = {
    "api/routes/health.py": "a look at the database, and at nobody's rows",
    "worker/services.py": "opens and closes them, and shows how full they are",
    "worker/runs/claim.py": "whose turn it is, is asked of all projects",
    "worker/runs/lost.py": "a run that can't be opened ends as it lies",
    "worker/runs/heartbeat.py": "a process renews the leases of all its runs and files in one statement",
    "worker/runs/cancels.py": "an operator names a run, whose project isn't known before it is read",
    "worker/sweep.py": "what dead workers left, whoever's it is",
    "worker/store_sweep.py": "bytes that have no row are nobody's",
    "worker/usage_sweep.py": "what all projects used is added up together",
    "worker/removal_sweep.py": "what was deleted, or is kept no longer, whoever's it was",
    "worker/ingest/executor.py": "whose turn it is, is asked of all projects",
    "worker/ingest/reembed.py": "likewise",
    "worker/ingest/sweep.py": "as in worker/sweep.py",
}


def test_nobody_else_speaks_for_the_system() -> None:
    found = {
        str(path.relative_to(ROOT))
        for folder, names in OF_THE_SYSTEM.items()
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and any(ast.unparse(node).endswith(name) for name in names)
    }

    assert found == SPEAKS_FOR_IT.keys()
