"""Reading files, and searching in them."""

from prometheus_client import Counter, Histogram

from shared.metrics.registry import LONG_S, REGISTRY, SHORT_S
from shared.vector_stores.status import FileStatus
from shared.vector_stores.transitions import Reason

SETTLED = Counter(
    "assistantd_files_settled",
    "Files of vector stores that were read, or will not be: the status they went to, and why.",
    ["status", "reason"],
    registry=REGISTRY,
)
for _status, _reason in (
    (FileStatus.COMPLETED, Reason.INDEXED),
    (FileStatus.FAILED, Reason.UNREADABLE),
    (FileStatus.FAILED, Reason.OUT_OF_ATTEMPTS),
):
    SETTLED.labels(_status, _reason)  # from the start, as in runs.py
DURATION = Histogram(
    "assistantd_file_duration_seconds", "From a file's claim to its end.", buckets=LONG_S, registry=REGISTRY
)
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
NOT_RERANKED = Counter(
    "assistantd_searches_not_reranked",
    "Searches whose results stand as they were found because the reranker did not answer.",
    registry=REGISTRY,
)
