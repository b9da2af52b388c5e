"""The ledger held against the database: what was lost, doubled or stuck, and how long recoveries took."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.rows import DictRow, dict_row

from tests.chaos.account import account_of
from tests.chaos.ledger import Kind, Ledger, Story
from tests.chaos.reader import TERMINAL
from tests.chaos.said import said
from tests.chaos.stack import Stack
from tests.chaos.upstream import words_of
from tests.properties.promises import BROKEN

_RUNS = """
SELECT id, thread_id, status, term, attempts, last_error ->> 'message' AS error,
  (SELECT count(*) FROM run_steps WHERE run_id = runs.id) AS steps
FROM runs"""

# When a worker was lost, its runs were queued again, and claimed by the next one.
_RECOVERIES = """
SELECT lost.old_owner AS owner, extract(epoch FROM min(claimed.at)) AS claimed_at
FROM moves AS lost JOIN moves AS claimed
  ON claimed.run_id = lost.run_id AND claimed.reason = 'claimed' AND claimed.number > lost.number
WHERE lost.reason = 'worker_lost' GROUP BY lost.number, lost.old_owner"""

_MOVES = "SELECT reason, count(*) FROM moves GROUP BY 1 ORDER BY 1"


_PASSED_ON = {"worker_lost", "released"}  # the next worker begins the turn anew


@dataclass
class Verdict:
    """Each list holds one sentence an offence; all must be empty."""

    lost: list[str] = field(default_factory=list[str])
    doubled: list[str] = field(default_factory=list[str])
    stuck: list[str] = field(default_factory=list[str])
    untold: list[str] = field(default_factory=list[str])
    died: list[str] = field(default_factory=list[str])
    facts: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def innocent(self) -> bool:
        return not (self.lost or self.doubled or self.stuck or self.untold or self.died)


async def judge(ledger: Ledger, stack: Stack, heard: Mapping[str, int], told: Mapping[str, tuple[int, ...]]) -> Verdict:
    """Compare; the system has come to rest, or has had its time to. `heard` is what workers say of themselves, `told`
    what the administration is told of usage.
    """
    kept = await said(stack.system.database_url)
    with psycopg.connect(stack.system.database_url, autocommit=True) as connection:
        runs = {row["id"]: row for row in _rows(connection, _RUNS)}
        broken = _rows(connection, BROKEN)
        moves, recoveries = _rows(connection, _MOVES), _rows(connection, _RECOVERIES)
        account = account_of(connection, kept.names)
    for run in runs.values():
        run["messages"] = kept.by_runs.get(run["id"], {})
    verdict = Verdict()
    runs_by_name = Counter(name for run in runs.values() for name in kept.names.get(run["thread_id"], ()))
    verdict.doubled += [f"{name}: {count} runs for one creation" for name, count in runs_by_name.items() if count > 1]
    verdict.doubled += [f"{row['id']}: not kept: {row['promise']}" for row in broken]
    for story in ledger.given_up:
        status = runs[story.run_id]["status"] if story.run_id in runs else "unknown"
        verdict.stuck.append(f"{story.run_id or story.name} ({story.kind}): no end within patience, it is {status}")
    unheard = account.hold_against(ledger, stack.pids, stack.fates, verdict.lost, verdict.doubled)
    account.hold_workers_to(heard, ledger, verdict.lost)
    if told["completions"] != account.sums:
        verdict.lost.append(f"the administration is told {told['completions']} of usage, counted was {account.sums}")
    verdict.untold += ledger.offences
    verdict.died += ledger.deaths
    for story in ledger.promised:
        run = runs.get(story.run_id)
        if run is None or run["status"] not in TERMINAL:
            verdict.lost.append(f"{story.run_id} ({story.kind}): {run and run['status']}")
        else:
            _compare(story, run, verdict)
    passed_on = sum(row["count"] for row in moves if row["reason"] in _PASSED_ON)
    _compare_tools(ledger, runs, told, passed_on, verdict)
    verdict.facts = {
        **_facts(ledger, runs, _seconds(recoveries, stack.lost_at)),
        "calls in flight that may have been repeated": passed_on,
        "answers counted": len(account.counted),
        "answers not counted": dict(sorted(unheard.items())),
        "tokens heard by the workers of the end": dict(heard),
        "usage over HTTP": {kind: " ".join(map(str, figures)) for kind, figures in told.items()},
        "moves of runs": {row["reason"]: row["count"] for row in moves},
    }
    return verdict


def _rows(connection: psycopg.Connection, query: str) -> list[DictRow]:
    return connection.cursor(row_factory=dict_row).execute(query.encode()).fetchall()


def _compare(story: Story, run: DictRow, verdict: Verdict) -> None:
    """What the client saw with what is recorded."""
    if story.status is not None and story.status != run["status"]:
        verdict.untold.append(f"{story.run_id}: the client saw {story.status}, it is {run['status']}")
    if story.cancel_acknowledged and run["status"] != "cancelled":
        verdict.untold.append(f"{story.run_id}: [RUN-6] cancelled, but it is {run['status']}")
    for message_id, text in story.messages.items():
        if run["messages"].get(message_id) != text:
            verdict.lost.append(f"{story.run_id}: [RUN-3] was told {text!r}, kept {run['messages'].get(message_id)!r}")
    if run["status"] == "completed":
        turns = 2 if story.kind in (Kind.TOOLS, Kind.CODE, Kind.FILES) else 1
        if list(run["messages"].values()) != [words_of(story.name, turn) for turn in range(turns)]:
            verdict.doubled.append(f"{story.run_id} ({story.kind}): it says {list(run['messages'].values())}")


def _compare_tools(
    ledger: Ledger,
    runs: Mapping[str, DictRow],
    told: Mapping[str, tuple[int, ...]],
    passed_on: int,
    verdict: Verdict,
) -> None:
    """Each run that needs one has a session, and each that searches has a search, or two where the next worker began
    it anew.
    """
    for kind, tool, more in (
        (Kind.CODE, "code_interpreter_sessions", 0),
        (Kind.FILES, "file_search_calls", passed_on),
    ):
        theirs = [runs[story.run_id]["status"] for story in ledger.promised if story.kind is kind]
        (counted,) = told[tool]
        if not theirs.count("completed") <= counted <= len(theirs) + (more if theirs else 0):
            verdict.lost.append(f"the administration is told of {counted} {tool}, and the runs are {Counter(theirs)}")


def _seconds(recoveries: Sequence[DictRow], lost_at: Mapping[int, float]) -> list[float]:
    """From a worker's death or freeze to the next claim of each of its runs; what a living one lost is not counted."""
    pids = [(int(row["owner"].split(":")[-2]), float(row["claimed_at"])) for row in recoveries]
    return sorted(claimed - lost_at[pid] for pid, claimed in pids if claimed > lost_at.get(pid, math.inf))


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    if not seconds:
        return {}
    places = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    ordered = sorted(seconds)
    return {name: round(ordered[math.ceil(share * len(ordered)) - 1], 2) for name, share in places.items()}


def _facts(ledger: Ledger, runs: Mapping[str, DictRow], recovered: Sequence[float]) -> dict[str, Any]:
    statuses: dict[str, int] = {}
    errors: dict[str, int] = {}
    for run in runs.values():
        statuses[run["status"]] = statuses.get(run["status"], 0) + 1
        if run["error"]:
            errors[run["error"][:60]] = errors.get(run["error"][:60], 0) + 1
    asked = sum(sum(turns.values()) for turns in ledger.asked.values())
    turns = sum(len(turns) for turns in ledger.asked.values())
    return {
        "runs promised": len(ledger.promised),
        "statuses": statuses,
        "errors of failed runs": errors,
        "model asked": asked,
        "calls of the model repeated, after its failures and ours": asked - turns,
        "runs recovered from lost workers": len(recovered),
        "recovery, s": _spread(recovered),
        "from creation to end as the client sees it, s": _spread([story.took_s for story in ledger.promised]),
        **dict(sorted(ledger.counts.items())),
        "why requests were tried again": dict(ledger.refusals.most_common(12)),
    }
