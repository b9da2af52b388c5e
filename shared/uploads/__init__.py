"""Uploads: files that arrive in parts.

The parts' bytes are in the blob store, each under its part's id. They are given back by the sweeper alone, after the
commit that ended their upload: a crash at any point leaves an upload that can be gone on with, or one that is over.
"""
