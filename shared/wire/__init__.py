"""The wire: request bodies as pydantic models, rows rendered as OpenAI's objects.

It stands here and not in `api`, because events carry the same objects and a worker writes them. Rendering is pure and
makes plain dicts: the hot path serialises them with orjson and never builds a model object.

Two dialects share the objects: v2, and v1 with its `file_ids` and `retrieval`. What is stored is v2; a v1 answer is the
v2 object with v1's fields added, which both generations of clients accept.
"""
