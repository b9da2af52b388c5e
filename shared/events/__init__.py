"""What happens to a run, as clients stream it: a log a run in Redis, and the same events published as they come.

The log is a convenience. Whoever reads it also looks at the run's row from time to time, so that a lost event never
hangs a client, and losing the whole log loses no status, message or step.
"""
