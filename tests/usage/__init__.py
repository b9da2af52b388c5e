"""What was used, what it costs, and how much of it is allowed."""
