"""Files: facts in rows, bytes in the blob store."""
