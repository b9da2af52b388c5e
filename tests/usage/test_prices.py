"""The list of prices: what it says of a day, and what is wrong with a bad one."""

import tomllib
from datetime import date
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import pytest

from shared.settings import SettingsError
from shared.usage.facts import Kind, Used
from shared.usage.prices import BadPrices, PriceList
from shared.usage.reading import total

TODAY = date(2026, 8, 21)


def cost(prices: PriceList, used: Used, day: date = TODAY) -> Decimal:
    return total(prices.items(used._asdict(), day))


def test_the_original_s_prices_by_hand() -> None:
    """800,000 of 1,200,000 tokens at $2.50, 400,000 cached ones at $1.25, 150,000 at $10: 2.00 + 0.50 + 1.50."""
    prices = PriceList.load(None)
    assert cost(prices, Used("completions", "gpt-4o", 7, 1_200_000, 400_000, 150_000)) == Decimal("4.00")
    assert cost(prices, Used("completions", "gpt-4o-mini", 1, 1, 0, 1)) == Decimal("0.00000075")
    assert cost(prices, Used("code_interpreter_sessions", requests=3)) == Decimal("0.09")
    assert cost(prices, Used("embeddings", "text-embedding-3-large", 5, 1_000_000)) == Decimal("0.13")
    assert cost(prices, Used("file_search_calls", "vs_1", 1000)) == 0
    assert cost(prices, Used("completions", "some-local-model", 1, 10**9, 0, 10**9)) == 0
    assert prices.stored("vector_stores", 48 * 2**30, TODAY).amount == Decimal("0.20")
    assert prices.free_bytes("vector_stores") == 2**30


def test_each_price_of_ours_says_since_when() -> None:
    listed = tomllib.loads(files("shared.usage").joinpath("prices.toml").read_text())
    prices = [(kind, one) for kind, some in listed.items() if isinstance(some, list) for one in some]
    assert {kind for kind, _ in prices} == {"tokens", "vector_stores", "files", *get_args(Kind)} - {
        "completions",
        "embeddings",
    }
    assert [one for _, one in prices if not isinstance(one.get("from"), date)] == []


def test_a_price_holds_from_its_day_on() -> None:
    prices, used = PriceList.load(None), Used("completions", "gpt-4o", 1, 1_000_000, 0, 0)
    assert cost(prices, used, date(2024, 10, 1)) == Decimal("5.00")
    assert cost(prices, used, date(2024, 10, 2)) == Decimal("2.50")


def test_of_several_prices_the_latest_holds_until_it_ends() -> None:
    prices = PriceList("""
version = "1"
[[tokens]]
models = ["a", "b"]
input = "1"
[[tokens]]
models = ["b"]
from = 2026-01-01
until = 2026-02-01
input = "3"
""")
    costs = [cost(prices, Used("completions", "b", 1, 10**6), date(2026, month, 1)) for month in (1, 2)]
    assert costs == [3, 1]


A_PRICE = 'version = "1"\n[[tokens]]\nmodels = ["a"]\ninput = '


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("version = 1", "version: Input should be a valid string"),
        (f"{A_PRICE}0.15", 'tokens.0.input: put it in quotes, so that it is exact: "0.15"'),
        (f'{A_PRICE}"-1"', "tokens.0.input: Input should be greater than or equal to 0"),
        (f'{A_PRICE}"1"\nmodel = "b"', "tokens.0.model: Extra inputs are not permitted"),
    ],
)
def test_what_is_wrong_is_named(content: str, message: str) -> None:
    with pytest.raises(BadPrices) as caught:
        PriceList(content)
    assert str(caught.value) == message


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"ASSISTANTD_PRICES: .*/none\.toml: No such file or directory"):
        PriceList.load(tmp_path / "none.toml")


def test_sums_are_exact() -> None:
    """A tenth of a cent, ten million times: binary fractions would be off in the ninth place."""
    prices: Any = PriceList('version = "1"\n[[tokens]]\nmodels = ["a"]\ninput = "0.1"')
    assert sum((cost(prices, Used("completions", "a", 1, 1)) for _ in range(1000)), Decimal(0)) == Decimal("0.0001")
