"""Filters on the attributes of files, as the path expressions that Postgres evaluates in one parameter.

An attribute is compared with values of its own kind: a number is neither above nor below a word. What is not there is
equal to nothing, so that `ne` and `nin` hold for it.
"""

from collections.abc import Mapping
from typing import Any

from shared.database import to_json

_SIGNS = {"eq": "==", "ne": "==", "gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "in": "==", "nin": "=="}
_NEGATED = {"ne", "nin"}
_LISTS = {"in", "nin"}


def json_path(condition: Mapping[str, Any]) -> str:
    """The condition (a comparison, or `and`/`or` of further ones) as a predicate of SQL/JSON."""
    kind = condition["type"]
    if kind in ("and", "or"):
        parts = [f"({json_path(part)})" for part in condition["filters"]]
        return (" && " if kind == "and" else " || ").join(parts)
    key, value = to_json(condition["key"]), condition["value"]
    if kind not in _LISTS:
        value = [value]
    test = " || ".join(f"@ {_SIGNS[kind]} {to_json(one)}" for one in value)
    found = f"exists($.{key} ? ({test}))"  # asked of what is there, so that there is no third answer beside yes and no
    return f"!{found}" if kind in _NEGATED else found
