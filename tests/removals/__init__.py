"""Deletions: at once for every reader, and to the last row soon after."""
