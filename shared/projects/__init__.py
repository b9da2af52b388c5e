"""Whose things are whose: every row of every other table belongs to a project, every query names it."""
