"""OpenAI's own schema, and a client transport that holds every answer against it."""
