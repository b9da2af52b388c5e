"""Attempts to get out of a session, or to harm others from inside; `python -m tests.sandbox.attacks` prints a table.

An attempt says `breach(...)` when it has what it wants. Where that is possible, the same code is run as a *control*
outside, where it must succeed: an attempt that fails everywhere proves nothing. The others say why they have none.
"""
