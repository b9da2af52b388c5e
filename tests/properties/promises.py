"""The promises of `shared/runs/__init__.py` as queries over a database that keeps a history of its runs.

Each query returns the ids of what breaks the sentence, so nothing returned means kept. The history is a trigger's, for
the rows alone don't tell where they have been. The state machine asks after each step, chaos at its end; where
content is sealed, as in chaos, it isn't asked which tools a step calls.
"""

from collections.abc import Mapping

import psycopg

from shared.runs.status import LOCKS_THREAD, TERMINAL, in_sql

_HISTORY = """
CREATE TABLE moves (
  number bigint GENERATED ALWAYS AS IDENTITY, run_id text NOT NULL, at timestamptz NOT NULL DEFAULT now(),
  reason text NOT NULL, old_status text NOT NULL, new_status text NOT NULL, old_term int NOT NULL,
  new_term int NOT NULL, old_owner text, new_owner text);
CREATE INDEX ON moves (run_id);
CREATE FUNCTION remember() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO moves (run_id, reason, old_status, new_status, old_term, new_term, old_owner, new_owner)
  VALUES (NEW.id, NEW.reason, OLD.status, NEW.status, OLD.term, NEW.term, OLD.lease_owner, NEW.lease_owner);
  RETURN NULL;
END $$;
CREATE TRIGGER remember AFTER UPDATE OF status ON runs FOR EACH ROW EXECUTE FUNCTION remember();
CREATE TABLE counted (
  kind text NOT NULL, input_tokens int NOT NULL, cached_tokens int NOT NULL, output_tokens int NOT NULL);
CREATE FUNCTION count_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO counted VALUES (NEW.kind, NEW.input_tokens, NEW.cached_tokens, NEW.output_tokens);
  RETURN NULL;
END $$;
CREATE TRIGGER count_up AFTER INSERT ON usage_facts FOR EACH ROW EXECUTE FUNCTION count_up();
GRANT INSERT ON moves, counted TO assistantd_tenant;
"""

PROMISES = {
    "[RUN-1] a terminal status is never left": f"""
        SELECT run_id FROM moves WHERE old_status IN {in_sql(TERMINAL)}""",
    "[RUN-1] a run finishes at an instant, exactly if its status is terminal": f"""
        SELECT id FROM runs WHERE (finished_at IS NOT NULL) <> (status IN {in_sql(TERMINAL)})""",
    "[RUN-1] a step waits only while its run waits for the client, or for a tool of ours": f"""
        SELECT run_steps.id FROM run_steps JOIN runs ON runs.id = run_id
        WHERE run_steps.status = 'in_progress' AND (runs.status IN {in_sql(TERMINAL)}
          OR runs.status <> 'requires_action' AND jsonb_typeof(details) = 'object'
          AND NOT details @? '$.tool_calls[*].type ? (@ <> "function")')""",
    "[RUN-2] one step of a run waits at a time, and it is the last": """
        SELECT waits.id FROM run_steps AS waits JOIN run_steps AS later USING (run_id)
        WHERE waits.status = 'in_progress' AND later.position > waits.position""",
    "[RUN-2] the term never decreases, and whoever takes a run over begins a new one": """
        SELECT run_id FROM moves WHERE new_term < old_term OR new_term = old_term AND reason IN
          ('claimed', 'worker_lost', 'out_of_attempts', 'outputs_submitted')""",
    "[RUN-2] one worker is let in a term": """
        SELECT run_id FROM moves WHERE reason = 'claimed' GROUP BY run_id, new_term HAVING count(*) > 1""",
    "[RUN-2] a step is written by the worker's move that ends its term": """
        SELECT id FROM run_steps WHERE NOT EXISTS (
          SELECT FROM moves WHERE moves.run_id = run_steps.run_id AND old_status = 'in_progress'
          AND old_term = run_steps.term AND new_term = run_steps.term)""",
    "[RUN-2] steps are numbered from 0, none is left out": """
        SELECT run_id FROM run_steps GROUP BY run_id HAVING max(position) + 1 <> count(*)""",
    "[RUN-3] each message of a run has its step, each such step its message": """
        SELECT coalesce(message.id, step.id)
        FROM (SELECT * FROM messages WHERE run_id IS NOT NULL) AS message
        FULL JOIN (SELECT * FROM run_steps WHERE type = 'message_creation') AS step
          ON step.run_id = message.run_id AND step.details #>> '{message_creation,message_id}' = message.id
        WHERE message.id IS NULL OR step.id IS NULL""",
    "[RUN-3] the tokens of a run are those of its steps": """
        SELECT id FROM runs WHERE coalesce(CAST(usage ->> 'total_tokens' AS int), 0) <> (
          SELECT coalesce(sum(CAST(run_steps.usage ->> 'total_tokens' AS int)), 0)
          FROM run_steps WHERE run_id = runs.id)""",
    "[RUN-3] what runs have used is counted": """
        SELECT 'facts' WHERE (
          SELECT coalesce(sum(CAST(one ->> 'input_tokens' AS int)), 0) FROM runs, jsonb_array_elements(used) AS one)
        > (SELECT coalesce(sum(input_tokens), 0) FROM (
             SELECT input_tokens FROM usage_facts UNION ALL SELECT input_tokens FROM usage_minutes) AS counted)""",
    "[RUN-3] a run has used no less than its steps": """
        SELECT id FROM runs WHERE coalesce(CAST(usage ->> 'completion_tokens' AS int), 0) > (
          SELECT coalesce(sum(CAST(one ->> 'output_tokens' AS int)), 0) FROM jsonb_array_elements(used) AS one)""",
    "[RUN-5] a thread has at most one active run": f"""
        SELECT thread_id FROM runs WHERE {LOCKS_THREAD} GROUP BY thread_id HAVING count(*) > 1""",
    "[RUN-5] a run that waits for its thread writes nothing": """
        SELECT id FROM runs WHERE waiting AND (status NOT IN ('queued', 'cancelled', 'expired') OR EXISTS (
          SELECT FROM messages WHERE run_id = runs.id))""",
    "[RUN-6] a run whose cancel was acknowledged is on its way to cancelled, or there": """
        SELECT id FROM runs WHERE cancel_requested_at IS NOT NULL AND status NOT IN ('in_progress', 'cancelled')""",
}

UNDISTURBED = {
    "[RUN-3] nothing that runs have used is counted twice": """
        SELECT 'facts' WHERE (
          SELECT coalesce(sum(CAST(one ->> 'input_tokens' AS int)), 0) FROM runs, jsonb_array_elements(used) AS one)
        < (SELECT coalesce(sum(input_tokens), 0) FROM usage_facts)"""
}
"""What holds where no run is deleted, and nobody writes what a run used that others have by now."""


def _together(promises: Mapping[str, str]) -> str:
    return " UNION ALL ".join(
        f"SELECT CAST($${sentence}$$ AS text) AS promise, broken.* FROM ({query}) AS broken(id)"
        for sentence, query in promises.items()
    )


BROKEN = _together(PROMISES)
"""All of them in one statement: rows of `promise` and `id`."""
ALL_BROKEN = _together(PROMISES | UNDISTURBED)


def keep_history(database_url: str) -> None:
    """From now on every move of a run leaves a row in `moves`, and every fact of usage one in `counted`."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(_HISTORY)
