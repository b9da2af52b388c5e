"""What the model says that its answers cost, held against what was counted: to the token, and answer by answer.

Each answer has a number of tokens that no other one has. One that was not counted is one that nobody heard to its end:
the worker of its run died or lost the run, or hung up because the run was cancelled or the worker left. Of these there
are no more in a run than it has such moves.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from tests.chaos.ledger import Ledger

# Every fact, as it was written, however it was added up since.
_COUNTED = "SELECT input_tokens, output_tokens FROM counted WHERE input_tokens > 0"

# What is told to whoever asks.
_SUMS = """
SELECT coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0) FROM (
  SELECT input_tokens, output_tokens FROM usage_minutes UNION ALL SELECT input_tokens, output_tokens FROM usage_facts
) AS used"""

_EXCUSES = """
SELECT thread_id, (
  SELECT count(*) FROM moves WHERE run_id = runs.id
  AND reason IN ('worker_lost', 'out_of_attempts', 'released', 'cancelled', 'expired'))
FROM runs"""


@dataclass(frozen=True)
class Account:
    """What the database says."""

    counted: Sequence[tuple[int, int]]
    sums: tuple[int, int]
    excuses: Mapping[str, int]
    """By a run's name: how often somebody stopped listening to its model."""

    def hold_against(self, ledger: Ledger, lost: list[str], doubled: list[str]) -> list[int]:
        """Add a sentence for each answer that was not counted without an excuse, or counted otherwise than once.

        Returns the numbers of those that nobody heard.
        """
        times = Counter(number for number, _ in self.counted)
        doubled += [
            f"an answer to {self._whose(ledger, number)} was counted {n} times" for number, n in times.items() if n > 1
        ]
        for number, said in self.counted:
            if number not in ledger.told or ledger.told[number][1] != said:
                doubled.append(f"{number} and {said} tokens were counted, which no answer cost")
        unheard = [number for number in ledger.told if number not in times]
        for name, missing in Counter(ledger.told[number][0] for number in unheard).items():
            if missing > self.excuses.get(name, 0):
                lost.append(f"{name}: {missing} answers were not counted, {self.excuses.get(name, 0)} have an excuse")
        heard = [(number, ledger.told[number][1]) for number in times if number in ledger.told]
        expected = sum(number for number, _ in heard), sum(said for _, said in heard)
        if expected != self.sums:
            lost.append(f"what is told of usage is {self.sums}, what was heard {expected}")
        return unheard

    @staticmethod
    def _whose(ledger: Ledger, number: int) -> str:
        return ledger.told.get(number, ("nobody", 0))[0]


def account_of(connection: psycopg.Connection, names: Mapping[str, Sequence[str]]) -> Account:
    """As it is now; `names` are those of runs, by thread."""

    def rows(query: str) -> list[tuple[Any, ...]]:
        return connection.execute(query.encode()).fetchall()

    ((asked, said),) = rows(_SUMS)
    excuses = {name: count for thread_id, count in rows(_EXCUSES) for name in names.get(thread_id, ())}
    return Account([(a, b) for a, b in rows(_COUNTED)], (int(asked), int(said)), excuses)
