"""What is done to usage, by whichever worker comes first."""

from shared.database import Executor
from shared.usage import statements


async def add_up(db: Executor) -> frozenset[str]:
    """Add facts to the sums of their minutes and assistants; returns the projects that they are of. A crash leaves them
    all as they were, or none.
    """
    return frozenset(row["project_id"] for row in await db.all(statements.ADD_UP))


async def tidy(db: Executor) -> None:
    """What is due once in a while: look at what is kept, make hours of old minutes, forget hours that are over."""
    await db.all(statements.LOOK_AT_BYTES)
    await db.all(statements.COARSEN)
    await db.all(statements.FORGET_HOURS)
