"""Who keeps accounts of the chaos is held to account: what it objects to, and what it puts up with."""

from collections import Counter
from typing import Any

import pytest

from tests.chaos.account import Account, Attempt
from tests.chaos.ledger import Ledger, Told
from tests.chaos.stack import Fate

PIDS = {"worker-1": 1, "worker-2": 2}
FIRST = Attempt("chaos-0n0x", 1, 100.0, "worker_lost", 112.0)
SECOND = Attempt("chaos-0n0x", 2, 112.0, "finished", 115.0)
KILLED = Fate(1, "killed", 110.5)


def objections(
    *counted: tuple[int, int, int],
    steps: Any = (("chaos-0n0x", 1001, 13),),
    attempts: Any = (FIRST, SECOND),
    fates: Any = (KILLED,),
    second: str = "worker-2",
    whole: bool = True,
) -> tuple[list[str], list[str], Counter[str]]:
    """What is lost, what is doubled, and why what isn't counted isn't, of an answer to each of two workers."""
    answers = {
        1000: Told("chaos-0n0x", "worker-1", 110.0, 5, 12, whole),
        1001: Told("chaos-0n0x", second, 114.0, 6, 13, whole),
    }
    lost, doubled = list[str](), list[str]()
    whys = Account(counted, steps, attempts).hold_against(Ledger(told=answers), PIDS, fates, lost, doubled)
    return lost, doubled, whys


def test_what_a_killed_worker_heard_at_that_moment_may_be_missing() -> None:
    assert objections((1001, 6, 13)) == ([], [], {"the worker was killed": 1})
    assert objections((1000, 5, 12), (1001, 6, 13)) == ([], [], {})


@pytest.mark.parametrize(
    "more",
    [
        {"fates": [Fate(1, "killed", 116.0)], "attempts": [FIRST._replace(ended_at=117.0), SECOND]},
        {"fates": [], "attempts": [FIRST._replace(ended_at=116.0), SECOND]},
        {"attempts": [FIRST._replace(end="finished"), SECOND]},
        {"attempts": [FIRST._replace(end=None), SECOND]},
        {"attempts": [SECOND]},
    ],
)
def test_what_it_had_the_time_to_write_down_is_missed(more: dict[str, Any]) -> None:
    lost, doubled, whys = objections((1001, 6, 13), **more)
    assert (len(lost), doubled, whys) == (1, [], {})


def test_an_answer_before_another_one_of_its_attempt_is_missed() -> None:
    both = FIRST._replace(ended_at=115.0)
    lost, _, _ = objections((1001, 6, 13), attempts=[both], fates=[Fate(1, "killed", 114.5)], second="worker-1")
    assert len(lost) == 1


def test_a_living_worker_hangs_up_on_what_comes_right_then() -> None:
    left = FIRST._replace(end="cancelled", ended_at=110.4)
    assert objections((1001, 6, 13), attempts=[left, SECOND], fates=[]) == (
        [],
        [],
        {"the worker hung up: cancelled": 1},
    )
    cut = objections((1001, 6, 13), whole=False)
    assert cut == ([], [], {"the worker left before all was said": 1})


@pytest.mark.parametrize(
    "counted", [(1001, 6, 14), (1001, 7, 13), (1002, 6, 13), (1001, 6, 13)], ids=["said", "at hand", "number", "twice"]
)
def test_what_no_answer_cost_is_not_counted(counted: tuple[int, int, int]) -> None:
    _, doubled, _ = objections((1000, 5, 12), (1001, 6, 13), counted)
    assert doubled


def test_a_step_costs_what_an_answer_to_its_run_did_and_that_is_counted() -> None:
    lost, doubled, _ = objections((1001, 6, 13), steps=[("chaos-0n0x", 1000, 12)])
    assert (len(lost), doubled) == (1, [])
    for step in (("chaos-0n1x", 1001, 13), ("chaos-0n0x", 1001, 12)):
        lost, doubled, _ = objections((1001, 6, 13), steps=[step])
        assert (lost, len(doubled)) == ([], 1)


def test_what_a_worker_says_to_have_heard_is_counted() -> None:
    answers = {number: Told("chaos-0n0x", f"worker-{number % 2}", 110.0, 5, 12) for number in (1000, 1001, 1002)}
    account, lost = Account([(1000, 5, 12), (1001, 5, 12)], [], []), list[str]()
    account.hold_workers_to({"worker-0": 1000, "worker-1": 900}, Ledger(told=answers), lost)
    assert lost == []
    account.hold_workers_to({"worker-0": 2002, "worker-1": 1001}, Ledger(told=answers), lost)
    assert lost == ["worker-0 says that it has heard 2002 tokens, 1000 were counted"]
