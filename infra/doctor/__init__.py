"""Looking at everything that a server needs, as it is configured here: one finding a line, and what to do about it."""
