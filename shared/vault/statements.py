"""The SQL of `vault`."""

from sqlalchemy import text

from shared.audit.statements import note

# The one in use comes first, if there is one.
OF_PROJECT = text("""
SELECT * FROM data_keys WHERE project_id = :project_id ORDER BY retired_at DESC NULLS FIRST LIMIT 20""")

FIND = text("SELECT * FROM data_keys WHERE id = :id")

# Two processes may make a project's first key at once: both go on with the one that was first.
ADD = text("""
INSERT INTO data_keys (id, project_id, master, wrapped)
SELECT :id, projects.id, :master, :wrapped FROM projects WHERE id = :project_id
ON CONFLICT (project_id) WHERE retired_at IS NULL DO NOTHING""")

# The one key that is no project's: keys of clients are hashed by it.
NEW_OF_ORGANIZATION = """
INSERT INTO data_keys (id, project_id, master, wrapped) SELECT :id, CAST(:project_id AS text), :master, :wrapped"""
UNLESS_MADE = "ON CONFLICT ((project_id IS NULL)) WHERE project_id IS NULL DO NOTHING"

ADD_FOR_ORGANIZATION = text(f"{NEW_OF_ORGANIZATION} {UNLESS_MADE}")

OF_ORGANIZATION = text("SELECT * FROM data_keys WHERE project_id IS NULL")

ONE_BY_EACH = text("""
SELECT DISTINCT ON (master) * FROM data_keys WHERE retired_at IS NULL ORDER BY master, id""")

BY_OTHERS = text("""
SELECT * FROM data_keys WHERE master <> :master AND id <> ALL(CAST(:but AS uuid[])) ORDER BY id LIMIT :at_most""")

REWRAP = text(f"""
WITH rewrapped AS (
  UPDATE data_keys SET master = :master, wrapped = :wrapped WHERE id = :id AND master = :former RETURNING id),
  {note("rewrapped")}
SELECT id FROM rewrapped""")

IN_USE = text("""
SELECT id, project_id FROM data_keys WHERE project_id IS NOT NULL AND retired_at IS NULL ORDER BY id""")

RETIRE = text(f"""
WITH retired AS (UPDATE data_keys SET retired_at = now() WHERE id = :id AND retired_at IS NULL RETURNING id),
  {note("retired")}
SELECT id FROM retired""")

UNUSED = text("SELECT id, project_id FROM data_keys WHERE retired_at < now() - CAST(:unused AS interval) ORDER BY id")

FORGET = text(f"""
WITH forgotten AS (DELETE FROM data_keys WHERE id = :id AND retired_at IS NOT NULL RETURNING id), {note("forgotten")}
SELECT id FROM forgotten""")

COUNT = text("""
SELECT master, count(*) FILTER (WHERE retired_at IS NULL) AS in_use, count(*) FILTER (WHERE retired_at IS NOT NULL)
  AS retired
FROM data_keys GROUP BY master ORDER BY master""")
