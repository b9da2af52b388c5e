"""Whose things are whose: projects, service accounts, keys, and what each of them opens."""
