"""Reading files, and searching in them."""

from prometheus_client import Counter, Gauge, Histogram

from shared.metrics.registry import LONG_S, REGISTRY, SHORT_S

SETTLED = Counter(
    "assistantd_files_settled",
    "Files of vector stores that were read, or will not be: the status they went to, and why.",
    ["status", "reason"],
    registry=REGISTRY,
)
DURATION = Histogram(
    "assistantd_file_duration_seconds", "From a file's claim to its end.", buckets=LONG_S, registry=REGISTRY
)
HELD = Gauge("assistantd_worker_files_held", "Files that this worker is reading.", registry=REGISTRY)
SEARCH = Histogram(
    "assistantd_search_duration_seconds",
    "Of a search, the question's vector included.",
    ["by"],
    buckets=SHORT_S,
    registry=REGISTRY,
)
BY_WORDS_ALONE = Counter(
    "assistantd_searches_by_words_alone",
    "Searches that had to do without vectors because the embedding model did not answer.",
    registry=REGISTRY,
)
EMBEDDED = Counter("assistantd_embedder_texts", "Texts that the embedder made vectors of.", registry=REGISTRY)
EMBEDDING = Histogram(
    "assistantd_embedder_request_duration_seconds", "Of a request to the embedder.", buckets=SHORT_S, registry=REGISTRY
)
