"""Reading `/metrics` as Prometheus does."""

import urllib.request
from collections.abc import Mapping

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

Sample = tuple[str, frozenset[tuple[str, str]]]


def families(port: int) -> list[Metric]:
    """What a process on this machine tells now."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return list(text_string_to_metric_families(answer.read().decode()))


def samples(port: int) -> Mapping[Sample, float]:
    """The same by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families(port)
        for sample in family.samples
    }


def value(port: int, name: str, **labels: str) -> float:
    """One sample; 0 where there is none yet."""
    return samples(port).get((name, frozenset(labels.items())), 0.0)
