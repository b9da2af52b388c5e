"""What a refusal says, in the original's words: the sentence, the field that is at fault, the word for programs."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """The error in an answer, and its status."""

    message: str
    param: str | None = None
    code: str | None = None
    status: int = 400


NO_OBJECT = Refusal("The body of your request has to be a JSON object.")
NULL_CHARACTER = Refusal("Strings in a request can't contain the null character (\\u0000).", None, "invalid_value")
TOO_LARGE = Refusal("The body of your request is too large.", status=413)


def missing(param: str) -> Refusal:
    return Refusal(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")


def unknown(param: str) -> Refusal:
    return Refusal(f"Unknown parameter: '{param}'.", param, "unknown_parameter")


def no_filter(param: str) -> Refusal:
    """A filter of lists by metadata that is none."""
    return Refusal(f"Unknown parameter: '{param}'. Filter by 'metadata[key]=value'.", param, "unknown_parameter")


def twice(param: str) -> Refusal:
    return Refusal(f"Invalid '{param}': it was given more than once.", param, "invalid_value")


def expected(param: str, what: str, got: str) -> Refusal:
    return Refusal(f"Invalid type for '{param}': expected {what}, but got {got} instead.", param, "invalid_type")


def unsupported(param: str, value: str, *supported: str) -> Refusal:
    return Refusal(
        f"Invalid value: '{value}'. Supported values are: {listed(supported, 'and')}.", param, "invalid_value"
    )


def listed(options: Sequence[str], conjunction: str) -> str:
    """`'a'`, `'a' and 'b'`, `'a', 'b', and 'c'`."""
    *most, last = (f"'{option}'" for option in options)
    match most:
        case []:
            return last
        case [one]:
            return f"{one} {conjunction} {last}"
        case _:
            return f"{', '.join(most)}, {conjunction} {last}"


def long_string(param: str, limit: int, given: int) -> Refusal:
    return Refusal(
        f"Invalid '{param}': string too long. Expected a string with maximum length {limit}, "
        f"but got a string with length {given} instead.",
        param,
        "string_above_max_length",
    )


def long_array(param: str, limit: int, given: int) -> Refusal:
    return Refusal(
        f"Invalid '{param}': array too long. Expected an array with maximum length {limit}, "
        f"but got an array with length {given} instead.",
        param,
        "array_above_max_length",
    )


def empty(param: str, noun: str, article: str = "a") -> Refusal:
    return Refusal(
        f"Invalid '{param}': empty {noun}. Expected {article} {noun} with minimum length 1, "
        f"but got an empty {noun} instead.",
        param,
        f"empty_{noun}",
    )


def above(param: str, noun: str, limit: int, given: str) -> Refusal:
    return Refusal(
        f"Invalid '{param}': {noun} above maximum value. Expected a value <= {limit}, but got {given} instead.",
        param,
        f"{noun}_above_max_value",
    )


def below(param: str, noun: str, limit: int, given: str) -> Refusal:
    return Refusal(
        f"Invalid '{param}': {noun} below minimum value. Expected a value >= {limit}, but got {given} instead.",
        param,
        f"{noun}_below_min_value",
    )


def no_match(param: str, pattern: str = "^[a-zA-Z0-9_-]+$") -> Refusal:
    return Refusal(
        f"Invalid '{param}': string does not match pattern. Expected a string that matches the pattern '{pattern}'.",
        param,
        "invalid_value",
    )


def many_properties(param: str, given: int) -> Refusal:
    return Refusal(
        f"Invalid '{param}': too many properties. Expected an object with at most 16 properties, "
        f"but got an object with {given} properties instead.",
        param,
        "object_above_max_properties",
    )


def wrong_id(param: str, value: str, word: str) -> Refusal:
    return Refusal(f"Invalid '{param}': '{value}'. Expected an ID that begins with '{word}'.", param, "invalid_id")


def no_cursor(param: str, value: str) -> Refusal:
    return Refusal(f"Invalid '{param}': no object with id '{value}' in this list.", param)


def not_found(kind: str, object_id: str) -> Refusal:
    return Refusal(f"No {kind} found with id '{object_id}'.", status=404)


def no_url(method: str, path: str) -> Refusal:
    return Refusal(f"Invalid URL ({method} /v1{path})", status=404)


def no_method(method: str, path: str) -> Refusal:
    hint = "(HINT: Perhaps you meant to use a different HTTP method?)"
    return Refusal(f"Not allowed to {method} on /v1{path}. {hint}", status=405)


def other_kind(given: str, kind: str = "application/json") -> Refusal:
    return Refusal(
        f"Unsupported content type: '{given}'. This API method only accepts '{kind}' requests, but you specified the "
        f"header 'Content-Type: {given}'. Please try again with a supported content type.",
        None,
        "unsupported_content_type",
    )


def no_json(reason: str) -> Refusal:
    return Refusal(f"We could not parse the JSON body of your request: {reason}.")
