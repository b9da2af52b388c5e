"""Answers that were given to requests with an Idempotency-Key, kept for a day.

The key is taken in the transaction that does what the request asks for: both happen, or neither. A second request with
the same key waits for the first one's transaction, and then finds its answer.
"""
