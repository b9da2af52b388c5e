"""HTTP in, rows out: parse, one call into the domain, render. No SQL, no business rules, no waiting for a model."""
