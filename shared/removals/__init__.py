"""What goes after its owner: all that belongs to something deleted, a few rows at a time.

A deletion answers at once. What was deleted is gone for every reader in that moment: threads, vector stores and
projects are marked (`deleted_at`, which `shared/table.py` and the statements that look for them leave out), the row of
a file or an assistant goes. Runs of a deleted thread that are under way go with the mark, so that their workers stop.
All that is left is removed by workers, in statements of at most `AT_MOST` rows, each a commit of its own: none holds
locks for long, a crash leaves the rest to the next one, and doing something twice is harmless. A mark, or the note of a
removal (`rows.py`), goes last.

Notes are made in the statement that makes them necessary, also by triggers where the database cascades: chunks of a
file that has left its vector store, bytes and references of a file, the log of a run in Redis, kept answers about an
assistant, the sandbox's session of a thread.

The log of a run is emptied, and expires in a minute: a worker that has not heard yet may write into it until then, and
then it bears its time to live already. If Redis is away at that moment it expires by itself, a quarter of an hour after
the run's deadline at the latest.
"""
