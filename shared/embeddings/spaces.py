"""Finding the space that vectors are in, and beginning one."""

from sqlalchemy import text

from shared.database import Executor
from shared.embeddings.client import Embeddings
from shared.settings import Settings

CODE = 32
"""How many numbers of a kept vector tell its store (`store_code` in the database)."""

_INDEXED = 4000  # numbers, at most, of a vector that pgvector's HNSW takes

_FIND = text("""
SELECT id FROM embedding_spaces WHERE model = :model AND dimensions = :dimensions AND "window" = :window""")

_BEGIN = text("""
INSERT INTO embedding_spaces (model, dimensions, "window") VALUES (:model, :dimensions, :window)
ON CONFLICT (model, dimensions, "window") DO UPDATE SET model = excluded.model RETURNING id""")

# IF NOT EXISTS is no answer to two who look at the same moment: the second one's index would break a constraint.
_BY_ONE_AT_A_TIME = """
DO $$ BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('embedding_spaces'));
  {};
END $$"""


class Spaces:
    """An embedding model, and the spaces of its vectors by their dimensions; what was found is remembered."""

    def __init__(self, model: Embeddings) -> None:
        self.model = model
        self.dimensions: int | None = None
        """Of its vectors, once any has been seen."""
        self._known: dict[int, int] = {}
        self._begun: set[int] = set()

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
        """The space's number, and its index before there is any vector in it: it is made while it is empty, in no time.

        Two processes that begin it at once get the same; a crash between leaves a space without an index, which the
        next process makes.
        """
        self.dimensions = dimensions
        if dimensions not in self._begun:
            row = await db.one(_BEGIN, self._keys(dimensions))
            if row is None:
                raise LookupError("INSERT INTO embedding_spaces returned no row")
            if dimensions + CODE <= _INDEXED:
                await db.all(text(_BY_ONE_AT_A_TIME.format(index(row["id"], dimensions))))
            self._known[dimensions] = row["id"]
            self._begun.add(dimensions)
        return self._known[dimensions]

    def _keys(self, dimensions: int) -> dict[str, object]:
        return {"model": self.model.model, "dimensions": dimensions, "window": self.model.window}


def spaces_of(settings: Settings) -> Spaces | None:
    """Those of the configured model; None where none is configured."""
    return None if settings.embeddings is None else Spaces(Embeddings(settings))


def index(space: int, dimensions: int) -> str:
    """The SQL that indexes one space's vectors. It is one of its own because an index has vectors of one length."""
    return (
        f"CREATE INDEX IF NOT EXISTS passages_near_{space} ON passages "
        f"USING hnsw ((embedding::halfvec({dimensions + CODE})) halfvec_cosine_ops) WHERE space = {space}"
    )
