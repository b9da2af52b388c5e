"""The Helm chart, rendered by Helm's own engine, and ways to look at what comes out."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from helm_python import Chart

PLACE = Path(__file__).parents[2] / "infra" / "helm" / "assistantd"
NAMESPACE = "assistants"

Document = dict[str, Any]

NEEDED: dict[str, Any] = {
    "image": {"registry": "registry.example/team"},
    "database": {"existingSecret": "database"},
    "redis": {"existingSecret": "redis"},
    "model": {"baseUrl": "https://model.example/v1", "existingSecret": "model"},
    "embeddings": {"existingSecret": "embeddings"},
    "files": {"url": "s3://bucket/prefix"},
    "sandbox": {"existingSecret": "sandbox", "isolation": "runtimeClass", "runtimeClassName": "gvisor"},
    "flower": {"existingSecret": "flower"},
}
"""The least that has to be said."""

SCALED = {"worker": {"autoscaling": {"enabled": True, "postgres": {"existingSecret": "scaler"}}}}

VARIANTS: dict[str, dict[str, Any]] = {
    "the least": {},
    "everything": {
        **SCALED,
        "files": {"url": "s3://b", "endpoint": "https://s3.example", "region": "x", "existingSecret": "bucket"},
        "image": {"tag": "1.2.3", "pullSecrets": ["registry"]},
        "serviceAccount": {"annotations": {"role": "files"}},
        "sandbox": {"replicas": 3, "settings": {"CAPACITY": "40"}},
        "api": {"ingress": {"enabled": True, "host": "api.example", "tlsSecret": "tls", "className": "nginx"}},
        "networkPolicy": {"monitoring": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]},
        "settings": {"RUN_EXPIRES_AFTER": "900"},
        "traces": {"endpoint": "http://c:4318", "existingSecret": "traces", "settings": {"TRACES_SAMPLER_ARG": "0.1"}},
        "reranker": {"baseUrl": "https://r.example", "model": "r", "existingSecret": "reranker"},
        "tls": {"authorities": "authorities", "bucket": True, "api": "api-tls", "sandbox": "sandbox-tls"},
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "tolerations": [{"key": "batch", "operator": "Exists"}],
    },
    "another endpoint for embeddings": {
        "embedder": {"enabled": False},
        "embeddings": {"baseUrl": "https://e.example/v1", "model": "m", "settings": {"DIMENSIONS": "512"}},
    },
    "seccomp": {"sandbox": {"isolation": "seccomp", "userNamespaces": True, "unmaskProc": True}},
    "landlock": {"sandbox": {"isolation": "landlock"}, "api": {"autoscaling": {"enabled": False}}},
    "a claim, and no more than has to be": {
        "files": {"url": "", "existingClaim": "files"},
        "sandbox": {"enabled": False},
        "flower": {"enabled": False},
        "embedder": {"enabled": False},
    },
}


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Values of `above` over those of `below`, as Helm puts files of values together."""
    result = dict(below)
    for name, value in above.items():
        old = result.get(name)
        result[name] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def render(values: Mapping[str, Any], *, needed: Mapping[str, Any] = NEEDED) -> list[Document]:
    """What would be installed as the release `demo`. Raises HelmRenderError, with the chart's own words."""
    with Chart.load(PLACE) as chart:
        files = chart.render(merged(needed, values), name="demo", namespace=NAMESPACE)
    texts = [text for name, text in files.items() if name.endswith(".yaml")]
    return [document for text in texts for document in yaml.safe_load_all(text) if document is not None]


def of_kind(documents: list[Document], *kinds: str) -> list[Document]:
    return [document for document in documents if document["kind"] in kinds]


def named(documents: list[Document], kind: str, name: str) -> Document:
    """The one of that kind; `name` without the release."""
    (found,) = [it for it in of_kind(documents, kind) if it["metadata"]["name"] == f"demo-{name}"]
    return found


def pods(documents: list[Document]) -> Iterator[tuple[str, Document]]:
    """The part's name and its pod's spec, of everything that makes pods."""
    for document in of_kind(documents, "Deployment", "StatefulSet", "Job", "DaemonSet", "CronJob", "Pod"):
        yield document["metadata"]["labels"]["app.kubernetes.io/component"], document["spec"]["template"]["spec"]


def container(documents: list[Document], part: str) -> Document:
    (found,) = dict(pods(documents))[part]["containers"]
    return found


def environment(documents: list[Document], part: str) -> dict[str, Any]:
    """Variables by name: a value, or whatever stands in for one."""
    return {it["name"]: it.get("value", it.get("valueFrom")) for it in container(documents, part)["env"]}
