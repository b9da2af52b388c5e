"""Our own description of our answers, which clients may be generated from: what we answer is what it says."""

import functools
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from tests.conformance.coverage import our_openapi
from tests.conformance.schema.contract import pattern


def judge_answer(method: str, path: str, status: int, body: Any) -> list[str]:
    """An answer in JSON; `path` begins with `/v1`. Whatever no operation of ours answers is not described."""
    operation = _operation(method.lower(), path)
    if operation is None:
        return []
    answer = operation["responses"].get(str(status))
    if answer is None:
        return [f"our description knows of no {status}"]
    validator = _validator(answer["content"]["application/json"]["schema"]["$ref"])
    found = best_match(validator.iter_errors(body))
    return [f"{found.json_path}: {found.message} (our description)"] if found else []


def _operation(method: str, path: str) -> dict[str, Any] | None:
    for known, matches, methods in _paths():
        if method in methods and matches.fullmatch(path):
            return our_openapi()["paths"][known][method]
    return None


@functools.cache
def _paths() -> list[tuple[str, Any, set[str]]]:
    """Literal paths before those with ids in them."""
    paths = our_openapi()["paths"]
    return [(path, pattern(path), set(paths[path])) for path in sorted(paths, key=lambda path: path.count("{"))]


@functools.cache
def _validator(reference: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": reference, "components": our_openapi()["components"]})
