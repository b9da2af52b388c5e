"""Vector stores: files made searchable, and what is promised of making them so.

A file in a store is a row; its *ingestion* is the work of reading it, cutting it into chunks and keeping them. A worker
claims an ingestion under a term and a lease, as it claims a run (`shared/runs/__init__.py`): whoever lost its lease
finds no row. A file that is put into the store again begins a new ingestion under a new id, so that a worker which is
still busy with the former one can't write either.

- A file in a store reaches exactly one of `completed`, `failed` and `cancelled`, whatever dies underneath.
- Chunks are kept while the file is read, and searched once it is `completed`: what is searched is whole, and what is
  whole is searched. A stage that was reached is not gone through again; one that was begun is, from its beginning.
- `failed` says why, in a sentence.
"""
