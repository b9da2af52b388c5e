"""What a process counts about itself, for Prometheus: one module a subject, all of it in one registry.

Names are Prometheus' own way: a prefix, base units, `_total` for what only grows. A label has few values and none that
a client could choose without end: no ids, no project, no file's name; names of models are bounded (`registry.Names`).
"""
