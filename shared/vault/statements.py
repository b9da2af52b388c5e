"""The SQL of `vault`."""

from sqlalchemy import text

CURRENT = text("SELECT * FROM data_keys WHERE project_id = :project_id AND retired_at IS NULL")

FIND = text("SELECT * FROM data_keys WHERE id = :id")

# Two processes may make a project's first key at once: both go on with the one that was first.
ADD = text("""
INSERT INTO data_keys (id, project_id, master, wrapped)
SELECT :id, projects.id, :master, :wrapped FROM projects WHERE id = :project_id
ON CONFLICT (project_id) WHERE retired_at IS NULL DO NOTHING""")

BY_OTHERS = text("SELECT * FROM data_keys WHERE master <> :master ORDER BY id LIMIT :at_most")

REWRAP = text("""
UPDATE data_keys SET master = :master, wrapped = :wrapped WHERE id = :id AND master = :former RETURNING id""")

RETIRE = text("UPDATE data_keys SET retired_at = now() WHERE retired_at IS NULL RETURNING id")

FORGET = text("DELETE FROM data_keys WHERE retired_at < now() - CAST(:unused AS interval) RETURNING id")

COUNT = text("""
SELECT master, count(*) FILTER (WHERE retired_at IS NULL) AS in_use, count(*) FILTER (WHERE retired_at IS NOT NULL)
  AS retired
FROM data_keys GROUP BY master ORDER BY master""")
