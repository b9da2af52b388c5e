"""What the model says that its answers cost, held against what was counted: to the token, answer by answer.

Each answer has a number of tokens that no other one has, and its worker's key says who asked for it: so it is known of
each in which attempt at its run it was given, and how that attempt ended. Whatever a worker goes on with, it has
counted. What may be missing is the last answer of an attempt that nobody brought to its own end:

- its worker was killed at that moment, before it had written down what it heard, and perhaps before it heard it;
- it was frozen at that moment, and had lost the run when it woke up;
- it hung up at that moment, because the run was cancelled or expired, or lost, or it was leaving.

That is one answer an attempt at most, and what its worker had time to hear and to write down is counted. And every
token that is counted, and every one that a step says it cost, is one that the model has told. What the workers that are
left in the end say to have heard is counted in any case: of a worker's answers no less than it says.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import psycopg

from tests.chaos.ledger import Ledger, Told
from tests.chaos.stack import Fate

MOMENT_S = 5.0
"""Longer than what has arrived, and what is to be written, waits for a living worker, beside 50 clients that want all
of the machine, and faults that take the database away for a while.
"""

# Every fact, as it was written, however it was added up since.
_COUNTED = "SELECT input_tokens, cached_tokens, output_tokens FROM counted WHERE kind = 'completions'"

_OF_STEPS = """
SELECT thread_id, (usage ->> 'prompt_tokens')::int, (usage ->> 'completion_tokens')::int FROM run_steps
WHERE (usage ->> 'total_tokens')::int > 0"""

_ATTEMPTS = """
SELECT thread_id, claimed.new_owner, extract(epoch FROM claimed.at), ended.reason, extract(epoch FROM ended.at)
FROM moves AS claimed JOIN runs ON runs.id = claimed.run_id LEFT JOIN LATERAL (
  SELECT reason, at FROM moves
  WHERE run_id = claimed.run_id AND old_status = 'in_progress' AND old_term = claimed.new_term AND reason <> 'recorded'
  ORDER BY number LIMIT 1) AS ended ON true
WHERE claimed.reason = 'claimed' ORDER BY claimed.number"""

_BROKEN_OFF = {"worker_lost", "out_of_attempts", "released", "cancelled", "expired"}

Counts = tuple[int, int, int]
"""Tokens: of the prompt, of those the ones at hand, said."""


class Attempt(NamedTuple):
    """One worker's part in a run."""

    name: str
    pid: int
    began_at: float
    end: str | None
    ended_at: float


@dataclass(frozen=True)
class Account:
    """What the database says."""

    counted: Sequence[Counts]
    of_steps: Sequence[tuple[str, int, int]]
    """With the run's name."""
    attempts: Sequence[Attempt]

    @property
    def sums(self) -> tuple[int, int, int, int]:
        """Answers, and what they cost in all."""
        asked, cached, said = (sum(counts) for counts in zip(*self.counted, strict=True))
        return len(self.counted), asked, cached, said

    def hold_against(
        self, ledger: Ledger, pids: Mapping[str, int], fates: Sequence[Fate], lost: list[str], doubled: list[str]
    ) -> Counter[str]:
        """Add a sentence for each answer that was counted otherwise than once, or not at all where it must be.

        Returns how many were not counted, by what became of them.
        """
        times = Counter(number for number, *_ in self.counted)
        for number, cached, said in self.counted:
            told = ledger.told.get(number)
            if told is None or (told.cached, told.said) != (cached, said):
                doubled.append(f"{number}, {cached} and {said} tokens were counted, which no answer cost")
            elif times[number] > 1:
                doubled.append(f"an answer to {told.name} was counted {times[number]} times")
        for name, number, said in self.of_steps:
            told = ledger.told.get(number)
            if told is None or (told.name, told.said) != (name, said):
                doubled.append(f"{name}: a step says that it cost {number} and {said}, which no answer to it did")
            elif not times[number]:
                lost.append(f"{name}: a step says that it cost {number} and {said}, which was not counted")
        return self._unheard(ledger, times, pids, fates, lost)

    def hold_workers_to(self, heard: Mapping[str, int], ledger: Ledger, lost: list[str]) -> None:
        """Add a sentence for each worker that has heard of more than was counted of its answers."""
        counted = Counter[str]()
        for number, *_ in self.counted:
            if number in ledger.told:
                counted[ledger.told[number].worker] += number
        for worker, tokens in heard.items():
            if tokens > counted[worker]:
                lost.append(f"{worker} says that it has heard {tokens} tokens, {counted[worker]} were counted")

    def _unheard(
        self,
        ledger: Ledger,
        times: Mapping[int, int],
        pids: Mapping[str, int],
        fates: Sequence[Fate],
        lost: list[str],
    ) -> Counter[str]:
        attempts: dict[tuple[str, int], list[Attempt]] = {}
        for one in self.attempts:
            attempts.setdefault((one.name, one.pid), []).append(one)
        given = {number: _attempt(told, attempts, pids) for number, told in ledger.told.items()}
        last = {attempt: number for number, attempt in given.items()}  # numbers rise as answers are given
        whys = Counter[str]()
        for number, told in ledger.told.items():
            attempt = given[number]
            if times.get(number):
                continue
            if attempt is None or attempt.end not in _BROKEN_OFF or last[attempt] != number:
                lost.append(
                    f"{told.name}: {number} was not counted, and {attempt} went on after it, or came to its end"
                )
                continue
            why = _why(told, attempt, fates)
            whys.update([why] if why else ())
            if why is None:
                lost.append(f"{told.name}: {number} was not counted, and {attempt} had the time to hear it")
        return whys


def _why(told: Told, attempt: Attempt, fates: Sequence[Fate]) -> str | None:
    """What kept the worker from counting it; None if nothing did."""
    if not told.whole:
        return "the worker left before all was said"
    fate = {one.what for one in fates if one.pid == attempt.pid and abs(one.at - told.at) < MOMENT_S}
    if fate:
        return f"the worker was {' and '.join(sorted(fate))}"
    return f"the worker hung up: {attempt.end}" if attempt.ended_at - told.at < MOMENT_S else None


def _attempt(
    told: Told, attempts: Mapping[tuple[str, int], Sequence[Attempt]], pids: Mapping[str, int]
) -> Attempt | None:
    """The one that the answer was given to: the worker's newest at this run then."""
    begun = [one for one in attempts.get((told.name, pids[told.worker]), ()) if one.began_at <= told.at]
    return begun[-1] if begun else None


def account_of(connection: psycopg.Connection, names: Mapping[str, Sequence[str]]) -> Account:
    """As it is now; `names` are those of runs, by thread."""

    def rows(query: str) -> list[tuple[Any, ...]]:
        return connection.execute(query.encode()).fetchall()

    return Account(
        counted=[(asked, cached, said) for asked, cached, said in rows(_COUNTED)],
        of_steps=[(name, *counts) for thread_id, *counts in rows(_OF_STEPS) for name in names.get(thread_id, ())],
        attempts=[
            Attempt(name, int(owner.split(":")[-2]), float(began_at), end, float(ended_at or 0))
            for thread_id, owner, began_at, end, ended_at in rows(_ATTEMPTS)
            for name in names.get(thread_id, ())
        ],
    )
