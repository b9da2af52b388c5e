"""Finding the space that vectors are in, and beginning one."""

from sqlalchemy import text

from shared.database import Executor
from shared.embeddings.client import Embeddings
from shared.settings import Settings

_FIND = text("""
SELECT id FROM embedding_spaces WHERE model = :model AND dimensions = :dimensions AND "window" = :window""")

_BEGIN = text("""
INSERT INTO embedding_spaces (model, dimensions, "window") VALUES (:model, :dimensions, :window)
ON CONFLICT (model, dimensions, "window") DO NOTHING""")


class Spaces:
    """An embedding model, and the spaces of its vectors by their dimensions; what was found is remembered."""

    def __init__(self, model: Embeddings) -> None:
        self.model = model
        self.dimensions: int | None = None
        """Of its vectors, once any has been seen."""
        self._known: dict[int, int] = {}

    async def find(self, db: Executor, dimensions: int) -> int | None:
        """The space's number, or None where no vector has been kept in it."""
        self.dimensions = dimensions
        if dimensions not in self._known:
            row = await db.one(_FIND, self._keys(dimensions))
            if row is None:
                return None
            self._known[dimensions] = row["id"]
        return self._known[dimensions]

    async def begin(self, db: Executor, dimensions: int) -> int:
        """The space's number. Two processes that begin it at once get the same."""
        found = await self.find(db, dimensions)
        if found is None:
            await db.all(_BEGIN, self._keys(dimensions))
            found = await self.find(db, dimensions)
        if found is None:
            raise LookupError("INSERT INTO embedding_spaces made no row")
        return found

    def _keys(self, dimensions: int) -> dict[str, object]:
        return {"model": self.model.model, "dimensions": dimensions, "window": self.model.window}


def spaces_of(settings: Settings) -> Spaces | None:
    """Those of the configured model; None where none is configured."""
    return None if settings.embeddings is None else Spaces(Embeddings(settings))
