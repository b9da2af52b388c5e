"""What a run costs: `python -m tests.benchmarks` measures the real processes on servers of its own and prints a table.

Figures, not tests: a machine that is busy with something else makes them worse, so each row names the load average
beside it, and `measurements/limits.py` says in the same run what this machine can do at all.
"""
