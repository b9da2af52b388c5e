"""Every connection over TLS: to us, and from us to Postgres, Redis, models, buckets and the sandbox."""
