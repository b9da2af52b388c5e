"""Runs: what is promised of them, and how the promises are kept.

A run is a row. A worker *claims* it, which begins a *term* (a number that only grows) and a *lease* (an instant of the
database's clock until which the run is the worker's). The worker renews the lease while it works and writes under its
term; when the lease runs out the sweeper makes the run claimable again and the term moves on, so that whatever the old
holder still writes finds no row. Nobody needs to know whether the old holder is dead, paused or cut off.

The database's clock decides about leases. A worker's own clock serves to stop trusting one: it measures from before
the renewal was sent, and stops working when a lease's length has passed without an answer.

What is promised:

- [RUN-1] An accepted run is never lost: it reaches exactly one terminal status, and that is never left.
- [RUN-2] A recorded step is never executed again; only the call in flight at a crash may be repeated.
- [RUN-3] Every message and every token count is recorded exactly once.
- [RUN-4] Events of a run reach one reader in order, without gap or repeat.
- [RUN-5] Two runs never write one thread at once.
- [RUN-6] A cancel that was acknowledged wins over everything but a finish that was already recorded.
- [RUN-7] A terminal event reaches every open stream.
"""
