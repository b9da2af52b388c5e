"""Searches in vector stores, on the wire."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, StringConstraints, Tag, model_validator
from pydantic_core import PydanticCustomError

from shared.database import Row
from shared.wire import limits
from shared.wire.fields import Body, shallow
from shared.wire.shapes.vector_stores import ResultsPage, SearchResult

_FEWEST, _MOST = limits.SEARCH_RESULTS
_LISTS = {"in", "nin"}
_ORDERS = {"gt", "gte", "lt", "lte"}

Query = Annotated[str, StringConstraints(min_length=1, max_length=limits.SEARCH_QUERY)]


class Comparison(Body):
    """One attribute, compared with a value."""

    type: Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]
    key: str
    value: Any

    @model_validator(mode="after")
    def _comparable(self) -> "Comparison":
        if self.type in _LISTS:
            if not _is_list_of_values(self.value):
                raise PydanticCustomError(
                    "invalid_value",
                    "'{type}' takes a list of 1 to {most} strings or numbers.",
                    {"type": self.type, "most": limits.FILTER_VALUES},
                )
        elif not isinstance(self.value, str | int | float) or (self.type in _ORDERS and isinstance(self.value, bool)):
            what = "a string or a number" if self.type in _ORDERS else "a string, a number or a boolean"
            raise PydanticCustomError("invalid_value", "'{type}' takes {what}.", {"type": self.type, "what": what})
        return self


class Compound(Body):
    """All of several conditions, or any of them."""

    type: Literal["and", "or"]
    filters: Annotated[list["Filter"], Field(min_length=1, max_length=limits.FILTER_CONDITIONS, fail_fast=True)]


def _kind(value: Any) -> str:
    kind = value.get("type") if isinstance(value, Mapping) else getattr(value, "type", None)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return "object" if kind in ("and", "or") else "word"


Filter = Annotated[Annotated[Comparison, Tag("word")] | Annotated[Compound, Tag("object")], Discriminator(_kind)]


def _few(value: Comparison | Compound) -> Comparison | Compound:
    """Each condition costs every search; a bound on each list alone would let hundreds of lists through."""
    count, waiting = 0, [value]
    while waiting:
        one = waiting.pop()
        count += 1
        waiting += one.filters if isinstance(one, Compound) else []
    if count > limits.FILTER_CONDITIONS:
        raise PydanticCustomError(
            "array_above_max_length", "has more than {most} conditions.", {"most": limits.FILTER_CONDITIONS}
        )
    return value


class SearchRanking(Body):
    """How results are ranked and cut. `none` leaves a reranker out, where there is one; the others mean the same."""

    ranker: Literal["none", "auto", "default-2024-11-15"] = "auto"
    score_threshold: Annotated[float, Field(ge=0, le=1, strict=False)] = 0


class Search(Body):
    """POST /vector_stores/{vector_store_id}/search."""

    query: Annotated[
        Annotated[Query, Tag("phrase")]
        | Annotated[
            Annotated[list[Query], Field(min_length=1, max_length=limits.SEARCH_QUERIES, fail_fast=True)], Tag("list")
        ],
        Discriminator(lambda value: "list" if isinstance(value, list) else "phrase"),
    ]
    max_num_results: Annotated[int, Field(ge=_FEWEST, le=_MOST)] = 10
    filters: Annotated[Filter, BeforeValidator(shallow), AfterValidator(_few)] | None = None
    ranking_options: SearchRanking | None = None
    rewrite_query: bool = False

    def queries(self) -> list[str]:
        """What to search for, as it was asked."""
        return [self.query] if isinstance(self.query, str) else self.query

    def options(self) -> dict[str, Any]:
        """What else the search is told."""
        return {
            "filters": self.filters.model_dump(mode="json") if self.filters else None,
            "ranker": self.ranking_options.ranker if self.ranking_options else "auto",
            "threshold": self.ranking_options.score_threshold if self.ranking_options else 0,
            "limit": self.max_num_results,
        }


def _is_list_of_values(value: Any) -> bool:
    if not isinstance(value, list) or not 0 < len(value) <= limits.FILTER_VALUES:  # pyright: ignore[reportUnknownArgumentType]
        return False
    return all(isinstance(one, str | int | float) and not isinstance(one, bool) for one in value)  # pyright: ignore[reportUnknownVariableType]


def results_page(queries: Sequence[str], rows: Sequence[Row]) -> ResultsPage:
    """Results of a search, one a chunk."""
    data: list[SearchResult] = [
        {
            "file_id": row["file_id"],
            "filename": row["filename"],
            "score": row["score"],
            "attributes": row["attributes"],
            "content": [{"type": "text", "text": row["text"]}],
        }
        for row in rows
    ]
    return {
        "object": "vector_store.search_results.page",
        "search_query": list(queries),
        "data": data,
        "has_more": False,
        "next_page": None,
    }
