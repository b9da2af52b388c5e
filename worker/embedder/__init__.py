"""`assistantd embedder`: an embedding model on this machine, for those who have no endpoint for embeddings.

It speaks OpenAI's `/v1/embeddings`, so that nobody but `infra` knows that it is ours. It holds no credential but the
key that it asks for, opens no connection and keeps nothing.
"""
