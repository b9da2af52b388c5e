"""Embeddings: vectors that are near each other where texts mean the like, from any OpenAI-compatible endpoint.

Only vectors of one *space* can be compared: those that one model made, with so many dimensions, of so much text at a
time. Whoever changes one of these begins a new space; what is in the former one is made anew in the background
(`worker/ingest/reembed.py`), and found by its words meanwhile.
"""
