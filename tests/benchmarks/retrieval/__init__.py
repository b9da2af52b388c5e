"""How well search finds what is asked for, in real documents: `uv run poe bench-retrieval`.

A manual from a Debian package becomes files of several formats (`manual`, `rendering`), which our own readers cut into
chunks (`corpus`). Questions and the places of their answers follow from the manual's own links (`questions`). Rankers
(`rankers`, `server`) put chunks in order for each question; `metrics` says how good the order is.
"""
