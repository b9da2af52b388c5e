"""The embedder."""

from prometheus_client import Counter, Histogram

from shared.metrics.registry import REGISTRY, SHORT_S

TEXTS = Counter("assistantd_embedder_texts", "Texts that the embedder made vectors of.", registry=REGISTRY)
DURATION = Histogram(
    "assistantd_embedder_request_duration_seconds", "Of a request to the embedder.", buckets=SHORT_S, registry=REGISTRY
)
