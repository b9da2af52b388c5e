"""The wall between projects: what Postgres shows to each, and that everything which is done for one is behind it."""
