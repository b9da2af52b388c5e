"""One module a noun. Order matters: `/threads/runs` is declared before `/threads/{thread_id}`."""
