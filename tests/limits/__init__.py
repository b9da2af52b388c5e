"""What projects may do: a minute's requests and tokens, runs at once, bytes, sessions; and what is said beyond it."""
