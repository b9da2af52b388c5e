"""What the endpoint says, made fit to be stored and sent on."""

from typing import Any

LONGEST_SENTENCE = 500  # characters of an endpoint's error that are passed on


def storable(text: Any) -> str:
    """A string that Postgres and JSON can hold: no null characters, no half surrogate pairs. None is empty."""
    if text is None:
        return ""
    whole = text if isinstance(text, str) else str(text)
    return whole.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", errors="replace").decode()


def sentence(text: Any) -> str:
    """The beginning of an error's text."""
    return storable(text)[:LONGEST_SENTENCE]
