"""Programs written for OpenAI, run against us: each official SDK in an environment of its own, and OpenAI's schema."""
