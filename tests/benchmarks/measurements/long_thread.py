"""Whether a thread's length matters to those who use its end."""

import psycopg

from tests.benchmarks import load
from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Figure, Measured, Measurement, Values
from tests.benchmarks.spread import Spread

FIGURES = (
    Figure(
        "long_thread_ratio", "times", "create run + list last page, thread of 100,000 messages vs. of 10", at_most=1.5
    ),
    Figure("long_thread_completed_ratio", "times", "the same until the run is completed"),
)
FEW = 10

_THREAD = "INSERT INTO threads (id, project_id) SELECT %s, project_id FROM assistants"
_MESSAGES = """
INSERT INTO messages (id, project_id, thread_id, created_at, role, content)
SELECT 'msg_' || md5(%(thread)s || n), project_id, %(thread)s, now() - (%(count)s - n) * interval '1 second',
  CASE n %% 2 WHEN 1 THEN 'user' ELSE 'assistant' END,
  jsonb_build_array(jsonb_build_object('type', 'text', 'text',
    jsonb_build_object('value', 'This is message number ' || n, 'annotations', '[]'::jsonb)))
FROM assistants, generate_series(1, %(count)s) AS n"""


def _measure(bench: Bench) -> Values:
    subject, visits = bench.subject(), bench.sizes.visits
    long = "thread_" + "L" * 24
    short = [f"thread_{number:024}" for number in range(visits)]  # fresh ones, for each run adds a message
    with psycopg.connect(subject.system.database_url, autocommit=True) as connection:
        for thread, count in ((long, bench.sizes.messages), *((thread, FEW) for thread in short)):
            connection.execute(_THREAD, (thread,))
            connection.execute(_MESSAGES, {"thread": thread, "count": count})
        connection.execute("VACUUM ANALYZE messages, threads")
    visits_in_turn = [thread for one in short for thread in (long, one)]
    marks = load.run(subject.plan("paged", 0, threads=visits_in_turn)).marks
    listed = _ratio([one["listed"] - one["sent"] for one in marks])
    return {
        "long_thread_ratio": listed,
        "long_thread_completed_ratio": _ratio([one["completed"] - one["sent"] for one in marks]),
    }


def _ratio(seconds: list[float]) -> Measured:
    long, short = Spread(seconds[0::2]).median * 1000, Spread(seconds[1::2]).median * 1000
    return Measured(long / short, f"{long:.1f} ms and {short:.1f} ms")


LONG_THREAD = Measurement("long_thread", FIGURES, _measure)
