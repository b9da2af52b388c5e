"""The code in a call's arguments, while they are still being generated: pure.

Arguments are an object with one string, `code`. Some models send the bare code instead, which is taken as it is.
"""

import json
import re

from worker.models.text import storable

_BEGINS = re.compile(r'"code"\s*:\s*"')
_ENDS = re.compile(r'(?:[^"\\]|\\.)*?"', re.DOTALL)
_PARTIAL = re.compile(r"(?:\\u[dD][89abAB][0-9a-fA-F]{2})?\\(?:u[0-9a-fA-F]{0,3})?\Z|\\u[dD][89abAB][0-9a-fA-F]{2}\Z")


class CodeInput:
    """Takes in arguments piece by piece and gives out the code as far as it is certain."""

    def __init__(self) -> None:
        self._raw = ""
        self._given = ""

    def feed(self, piece: str) -> str:
        """What is known of the code now and was not before."""
        self._raw += piece
        return self._give(self._certain())

    def end(self) -> str:
        """The rest, now that the arguments are complete."""
        return self._give(self._whole())

    def _give(self, code: str) -> str:
        new, self._given = code[len(self._given) :], code
        return new

    def _certain(self) -> str:
        begins = _BEGINS.search(self._raw) if self._raw.lstrip().startswith("{") else None
        if begins is None:
            return self._given
        text = self._raw[begins.end() :]
        ends = _ENDS.match(text)
        text = ends[0][:-1] if ends else text[: len(text) - len(_partial(text))]
        return _decoded(text) or self._given

    def _whole(self) -> str:
        if self._given or _BEGINS.search(self._raw):
            return self._certain()
        return storable(code_of(self._raw))


def code_of(arguments: str) -> str:
    """The code in complete arguments that have no `code`: that of an only string, or the arguments themselves."""
    try:
        given = json.loads(arguments)
    except ValueError:
        return arguments
    if not isinstance(given, dict):
        return given if isinstance(given, str) else arguments
    texts = [value for value in given.values() if isinstance(value, str)]  # pyright: ignore[reportUnknownVariableType]
    return texts[0] if len(texts) == 1 else ""


def whole(arguments: str) -> str:
    """The code in complete arguments."""
    code = CodeInput()
    return code.feed(arguments) + code.end()


def _partial(text: str) -> str:
    """The beginning of an escape at the end of a text, or half of a pair of them."""
    found = _PARTIAL.search(text)
    if found is None or (len(text[: found.start()]) - len(text[: found.start()].rstrip("\\"))) % 2:
        return ""
    return found[0]


def _decoded(text: str) -> str:
    try:
        return storable(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return ""  # an escape that JSON doesn't know
