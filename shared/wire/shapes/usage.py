"""Usage and costs."""

from typing import Generic, Literal, TypeVar

from typing_extensions import TypedDict

T = TypeVar("T")


class CompletionsUsage(TypedDict):
    """What language models were told and said. There are no users, batches and tiers here, so these are null."""

    object: Literal["organization.usage.completions.result"]
    input_tokens: int
    input_cached_tokens: int
    input_uncached_tokens: int
    output_tokens: int
    num_model_requests: int
    project_id: str | None
    user_id: None
    api_key_id: str | None
    model: str | None
    batch: None
    service_tier: None


class EmbeddingsUsage(TypedDict):
    """What embedding models were told."""

    object: Literal["organization.usage.embeddings.result"]
    input_tokens: int
    num_model_requests: int
    project_id: str | None
    user_id: None
    api_key_id: str | None
    model: str | None


class FileSearchUsage(TypedDict):
    """Calls of file_search; `vector_store_id` is null also of those that looked in several."""

    object: Literal["organization.usage.file_searches.result"]
    num_requests: int
    project_id: str | None
    user_id: None
    api_key_id: str | None
    vector_store_id: str | None


class CodeUsage(TypedDict):
    """Hours of threads in which the code interpreter ran."""

    object: Literal["organization.usage.code_interpreter_sessions.result"]
    num_sessions: int
    project_id: str | None


class StoresUsage(TypedDict):
    """Bytes in vector stores, on the average of the hours."""

    object: Literal["organization.usage.vector_stores.result"]
    usage_bytes: int
    project_id: str | None


class Amount(TypedDict):
    """Money."""

    value: float
    currency: Literal["usd"]


class Costs(TypedDict):
    """What was used, at the prices of its day."""

    object: Literal["organization.costs.result"]
    amount: Amount
    line_item: str | None
    project_id: str | None
    api_key_id: str | None
    quantity: float | None
    quantity_unit: Literal["tokens", "gibibyte_hours"] | None


class Bucket(TypedDict, Generic[T]):
    """A stretch of time; without results, nothing was used in it."""

    object: Literal["bucket"]
    start_time: int
    end_time: int
    results: list[T]


class BucketsPage(TypedDict, Generic[T]):
    """A page of buckets."""

    object: Literal["page"]
    data: list[Bucket[T]]
    has_more: bool
    next_page: str | None


class LineItem(TypedDict):
    """One line of a bill."""

    line_item: str
    quantity: float
    quantity_unit: Literal["tokens", "gibibyte_hours"] | None
    amount: Amount


class UsageFacts(TypedDict):
    """What a run, a thread or an assistant has used, and what that costs; ours, beyond the original."""

    cost: Amount
    line_items: list[LineItem]


class AssistantFacts(TypedDict):
    """What else is known of an assistant."""

    usage: UsageFacts
