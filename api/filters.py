"""Filters in the query of lists, beyond the original: `metadata[key]=value`, as often as need be."""

import re
from typing import Annotated

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant

from shared.errors import InvalidRequest
from shared.wire import limits

_NAME = re.compile(r"metadata\[(.*)\]", re.DOTALL)


def is_one(name: str) -> bool:
    """Is this parameter of a query meant for a filter, be it right or wrong?"""
    return name.startswith("metadata")


async def _metadata(request: Request) -> dict[str, str]:
    """The pairs that rows have to have, all of them. Raises InvalidRequest for what no row can have."""
    pairs: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if not is_one(name):
            continue
        if (match := _NAME.fullmatch(name)) is None:
            raise InvalidRequest(
                f"Unknown parameter: '{name}'. Filter by 'metadata[key]=value'.", param=name, code="unknown_parameter"
            )
        key = match[1]
        if len(key) > limits.METADATA_KEY or len(value) > limits.METADATA_VALUE:
            raise InvalidRequest(
                f"Invalid '{name}': keys of metadata have at most {limits.METADATA_KEY} characters, values "
                f"{limits.METADATA_VALUE}.",
                param=name,
                code="string_above_max_length",
            )
        if pairs.setdefault(key, value) != value:
            raise InvalidRequest(f"Invalid '{name}': it has one value, but two were given.", param=name)
    if len(pairs) > limits.METADATA_PAIRS:
        raise InvalidRequest(f"Metadata have at most {limits.METADATA_PAIRS} pairs.", param="metadata")
    return pairs


TheMetadata = Annotated[dict[str, str], Depends(_metadata)]


def apply_to(dependant: Dependant) -> bool:
    """Does a handler that depends on this filter by metadata?"""
    return any(one.call is _metadata or apply_to(one) for one in dependant.dependencies)
