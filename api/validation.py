"""Pydantic's findings in OpenAI's words: a sentence, the field's path as the client wrote it, and a code."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi.exceptions import RequestValidationError


@dataclass(frozen=True, slots=True)
class Problem:
    """The first thing that is wrong with a request."""

    message: str
    param: str | None
    code: str | None


_EXPECTED = {
    "string_type": "a string",
    "int_type": "an integer",
    "int_parsing": "an integer",
    "int_from_float": "an integer",
    "float_type": "a decimal",
    "float_parsing": "a decimal",
    "bool_type": "a boolean",
    "bool_parsing": "a boolean",
    "list_type": "an array",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "union_tag_not_found": "an object",
    "value_error": "a file",  # FastAPI's own; nothing of ours raises it
}

# Of a string or an array: the branch for strings, by what the array is of.
_ALTERNATIVES = {"word": "one of a string or array of objects", "phrase": "one of a string or array of strings"}

_CODES = {
    "too_long": "array_above_max_length",
    "too_short": "empty_array",
    "string_too_long": "string_above_max_length",
    "string_too_short": "empty_string",
}


def describe(error: RequestValidationError) -> Problem:
    """The finding that says most: an unknown field is named before a missing one."""
    findings: Sequence[Mapping[str, Any]] = error.errors()
    first = min(findings, key=lambda finding: finding["type"] != "extra_forbidden")
    where = list(first["loc"])
    place = where.pop(0)
    body = error.body if place == "body" else {}
    if first["type"] == "json_invalid":
        reason = first.get("ctx", {}).get("error", "it is not valid JSON")
        return Problem(f"We could not parse the JSON body of your request: {reason}.", None, None)
    if unknown := first.get("ctx", {}).get("unknown"):
        where.append(unknown)
    if place == "query":
        del where[1:]  # `name[]` is the name of each value in a list
    if place == "body" and not where:
        ours = first["type"] in {"invalid_value", "string_above_max_length"}
        message = first["msg"] if ours else "The body of your request has to be a JSON object."
        return Problem(message, None, first["type"] if ours else None)
    param, branch = _spell(where, body), str(where[-1]) if where else ""
    return _problem(first, param, None if param.endswith(branch) else _ALTERNATIVES.get(branch))  # a key may be `word`


def _problem(finding: Mapping[str, Any], param: str, alternatives: str | None) -> Problem:
    """`alternatives` are the two things that would have done, where a string was one of them."""
    kind, context, value = finding["type"], finding.get("ctx", {}), finding.get("input")
    match kind:
        case "missing" | "union_tag_not_found" if kind == "missing" or isinstance(value, Mapping):
            param = param if kind == "missing" else f"{param}.type"
            return Problem(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")
        case "extra_forbidden":
            return Problem(f"Unknown parameter: '{param}'.", param, "unknown_parameter")
        case "literal_error" if not isinstance(value, str):
            sentence = f"expected one of {_listed(context['expected'], 'or')}, but got {_name(value)} instead."
            return Problem(f"Invalid type for '{param}': {sentence}", param, "invalid_type")
        case "literal_error":
            return Problem(_invalid_value(value, context["expected"]), param, "invalid_value")
        case "union_tag_invalid":
            return Problem(_invalid_value(context["tag"], context["expected_tags"]), f"{param}.type", "invalid_value")
        case "string_too_long" | "string_too_short" | "too_long" | "too_short":
            return Problem(f"Invalid '{param}': {_length(kind, context, value)}", param, _CODES[kind])
        case "greater_than_equal" | "less_than_equal":
            return _out_of_range(param, kind, context, value)
        case "string_pattern_mismatch":
            pattern = context["pattern"]
            sentence = f"string does not match pattern. Expected a string that matches the pattern '{pattern}'."
            return Problem(f"Invalid '{param}': {sentence}", param, "invalid_value")
        case _ if kind in _EXPECTED:
            expected = alternatives if alternatives and kind == "string_type" else _EXPECTED[kind]
            sentence = f"expected {expected}, but got {_name(value)} instead."
            return Problem(f"Invalid type for '{param}': {sentence}", param, "invalid_type")
        case _:
            return Problem(f"Invalid '{param}': {finding['msg']}", param, kind)


_WORDS = frozenset({"[key]", "word", "phrase", "object", "list"})  # of shared/wire/fields.py: branches, not fields


def _spell(where: Sequence[int | str], body: Any) -> str:
    """A path such as `tools[0].function.name`, as the client would write it.

    Pydantic puts the branches of unions into its paths: our own words, and the `type` of an object before its fields.
    What comes last is a field, even if it is called like the type.
    """
    path, value, tagged = "", body, False
    for place, part in enumerate(where, start=1):
        if isinstance(part, int):
            path += f"[{part}]"
            value = value[part] if isinstance(value, Sequence) and part < len(value) else None
            tagged = False
        elif isinstance(value, Mapping) and value.get("type") == part and not tagged and place < len(where):  # pyright: ignore[reportUnknownMemberType]
            tagged = True
        elif isinstance(value, Mapping) and part in value:
            path += f".{part}"
            value, tagged = value[part], False
        elif part not in _WORDS:
            path += f".{part}"
            value = None
    return path.removeprefix(".")


def _invalid_value(value: Any, expected: str) -> str:
    return f"Invalid value: '{value}'. Supported values are: {_listed(expected, 'and')}."


def _listed(expected: str, conjunction: str) -> str:
    """Pydantic's `'a', 'b' or 'c'` as the original lists it: `'a', 'b', and 'c'`."""
    *most, last = (f"'{option}'" for option in expected.replace(" or ", ", ").replace("'", "").split(", "))
    comma = "," if len(most) > 1 else ""
    return f"{', '.join(most)}{comma} {conjunction} {last}" if most else last


def _length(kind: str, context: Mapping[str, Any], value: Any) -> str:
    noun, article = ("string", "a") if kind.startswith("string") else ("array", "an")
    if kind.endswith("short"):  # every least length there is, is one
        return f"empty {noun}. Expected {article} {noun} with minimum length 1, but got an empty {noun} instead."
    return (
        f"{noun} too long. Expected {article} {noun} with maximum length {context['max_length']}, "
        f"but got {article} {noun} with length {len(value)} instead."
    )


def _out_of_range(param: str, kind: str, context: Mapping[str, Any], value: Any) -> Problem:
    above = kind == "less_than_equal"
    limit = context["le" if above else "ge"]
    noun = "integer" if isinstance(limit, int) else "decimal"
    side, sign = ("above maximum", "<=") if above else ("below minimum", ">=")
    shown = int(limit) if float(limit).is_integer() else limit
    message = f"Invalid '{param}': {noun} {side} value. Expected a value {sign} {shown}, but got {value} instead."
    return Problem(message, param, f"{noun}_{'above_max' if above else 'below_min'}_value")


def _name(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case str():
            return "a string"
        case int():
            return "an integer"
        case float():
            return "a decimal number"
        case Mapping():
            return "an object"
        case _:
            return "an array"
