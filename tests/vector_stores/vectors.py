"""What tests of vectors have in common: a model that is scripted, searches, and workers that take over."""

from dataclasses import replace
from typing import Any

from sqlalchemy import text

from shared.embeddings.client import Embeddings
from shared.embeddings.spaces import Spaces
from shared.settings import Settings
from shared.vector_stores.search import Searcher
from tests.scripted_model.embeddings import ScriptedEmbeddings
from tests.vector_stores.stage import Stage
from worker.deps import Deps
from worker.ingest import sweep

FRUIT = "Apples keep for months in a cellar. Pears are eaten at once. Plums are dried. "
CARS = "The automobile has four wheels. "


def spaces(stage: Stage, embeddings: ScriptedEmbeddings, **more: Any) -> Spaces:
    own = {"embedding_base_url": embeddings.base_url, "embedding_model": "first", "embedding_window": 50}
    return Spaces(Embeddings(Settings.model_validate({**stage.deps.settings.model_dump(), **own, **more})))


async def found(
    stage: Stage, spaces: Spaces | None, query: str, *store_ids: str, **more: Any
) -> list[tuple[str, float]]:
    rows = await Searcher(spaces).search(
        stage.database.within(stage.project_id), stage.project_id, store_ids or [stage.store_id], [query], **more
    )
    return [(row["text"], row["score"]) for row in rows]


async def passages(stage: Stage) -> int:
    row = await stage.database.one(text("SELECT count(*) AS n FROM passages"))
    return row["n"] if row else 0


async def successor(stage: Stage, deps: Deps) -> Deps:
    """The worker that takes over from one that died."""
    await stage.end_leases()
    await sweep.sweep_files(deps)
    return replace(stage.worker(), searcher=deps.searcher)
