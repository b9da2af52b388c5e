"""Prices: a list in TOML, by date of validity. Sums are decimal numbers, exact to the last digit."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from shared.settings import PREFIX, SettingsError

NOTHING = Decimal(0)
MILLION = Decimal(1_000_000)
GIB = Decimal(2**30)
HOURS = Decimal(24)
FIRST_DAY, NEVER = date.min, date.max


Stored = Literal["vector_stores", "files"]


class BadPrices(Exception):
    """The list of prices can't be used; the message says where and why."""


def _exact(value: Any) -> Any:
    """A number without quotes has been through binary fractions by the time that it gets here."""
    if isinstance(value, float):
        raise ValueError('put it in quotes, so that it is exact: "0.15"')  # noqa: TRY004 # pydantic's word
    return value


Dollars = Annotated[Decimal, BeforeValidator(_exact), Field(ge=0)]


class _Price(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    since: date = Field(default=FIRST_DAY, alias="from")
    until: date = NEVER

    def holds(self, day: date) -> bool:
        """Did it, on that day?"""
        return self.since <= day < self.until


class _Tokens(_Price):
    """Per million."""

    models: list[str]
    input: Dollars
    cached_input: Dollars | None = None
    output: Dollars = NOTHING


class _Each(_Price):
    each: Dollars


class _Stored(_Price):
    gib_day: Dollars


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    free_gib: dict[Stored, Dollars] = {}
    tokens: list[_Tokens] = []
    code_interpreter_sessions: list[_Each] = []
    file_search_calls: list[_Each] = []
    vector_stores: list[_Stored] = []
    files: list[_Stored] = []


Unit = Literal["tokens", "gibibyte_hours"] | None


@dataclass(frozen=True, slots=True)
class Item:
    """A line of a bill."""

    name: str
    quantity: Decimal
    unit: Unit
    amount: Decimal

    def plus(self, other: "Item") -> "Item":
        """Both in one line."""
        return Item(self.name, self.quantity + other.quantity, self.unit, self.amount + other.amount)


class PriceList:
    """What is known of prices."""

    def __init__(self, content: str) -> None:
        """Raises BadPrices."""
        try:
            self._file = TypeAdapter(_File).validate_python(tomllib.loads(content))
        except tomllib.TOMLDecodeError as error:
            raise BadPrices(str(error)) from None
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in problem["loc"])
            raise BadPrices(f"{where}: {problem['msg'].removeprefix('Value error, ')}") from None
        self.version = self._file.version
        self._costs: dict[tuple[str, date], tuple[Decimal, Decimal, Decimal]] = {}  # of a million tokens

    @classmethod
    def load(cls, path: Path | None) -> Self:
        """That of the file, or ours. Raises SettingsError."""
        if path is None:
            return cls(files("shared.usage").joinpath("prices.toml").read_text(encoding="utf-8"))
        try:
            return cls(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, BadPrices) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise SettingsError(f"{PREFIX}PRICES: {path}: {why}") from None

    def items(self, used: Mapping[str, Any], day: date) -> Iterator[Item]:
        """What was used on that day, as lines of a bill; see `facts.Used`."""
        match used["kind"]:
            case "code_interpreter_sessions":
                price = _latest(self._file.code_interpreter_sessions, day)
                yield _each("code interpreter sessions", used["requests"], price)
            case "file_search_calls":
                yield _each("file search calls", used["requests"], _latest(self._file.file_search_calls, day))
            case _:
                yield from self._tokens(used, day)

    def stored(self, kind: Stored, byte_hours: int, day: date) -> Item:
        """Bytes and hours of that day, less what is `free`, as a line of a bill."""
        price = _latest(getattr(self._file, kind), day)
        quantity = byte_hours / GIB
        name = "vector store storage" if kind == "vector_stores" else "file storage"
        amount = NOTHING if price is None else quantity * price.gib_day / HOURS
        return Item(name, quantity, "gibibyte_hours", amount)

    def free_bytes(self, kind: Stored) -> int:
        """What a project may keep for nothing."""
        return int(self._file.free_gib.get(kind, NOTHING) * GIB)

    def _tokens(self, used: Mapping[str, Any], day: date) -> Iterator[Item]:
        model, cached = used["subject"], used["cached_tokens"]
        counts = used["input_tokens"] - cached, cached, used["output_tokens"]
        costs = self._costs.get((model, day))
        if costs is None:
            costs = self._costs[model, day] = self._of_model(model, day)
        for what, count, cost in zip(("input", "cached input", "output"), counts, costs, strict=True):
            if count:
                yield Item(f"{model}, {what}", Decimal(count), "tokens", count * cost / MILLION)

    def _of_model(self, model: str, day: date) -> tuple[Decimal, Decimal, Decimal]:
        """Input, cached input, output."""
        price = _latest([one for one in self._file.tokens if model in one.models], day)
        if price is None:
            return NOTHING, NOTHING, NOTHING
        return price.input, price.input if price.cached_input is None else price.cached_input, price.output


def _latest(prices: Sequence[Any], day: date) -> Any:
    return max((one for one in prices if one.holds(day)), key=lambda one: one.since, default=None)


def _each(name: str, number: int, price: _Each | None) -> Item:
    return Item(name, Decimal(number), None, NOTHING if price is None else number * price.each)
