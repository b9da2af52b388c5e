"""Assistants: what a run starts from."""
