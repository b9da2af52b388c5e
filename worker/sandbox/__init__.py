"""The code interpreter: a service that runs Python which a model wrote, for users whom nobody knows.

    worker ── HTTP, shared secret ──▶ service ── one socketpair ──▶ interpreter (one per session, isolated)

It holds no credentials and no rows. A session is one interpreter with the files below its `/mnt/data`; its variables
live between calls, while it is frozen. What a client has to know fits into five sentences:

- [SBX-1] A session is addressed by the client's own id and a *generation*. Another generation is another interpreter:
  the old one's variables and files are gone, and every request that names the old generation is refused as `lost`.
- [SBX-2] A call is executed at most once in a generation. The same call id again gets the recorded events, from the
  first one on, also while the call is still going on, also after whoever asked for it has died.
- [SBX-3] Every call ends: by itself, or interrupted at its wall time, or killed a second later.
- [SBX-4] What comes from inside is data: frames of bounded size and known shape, regular files reached without
  following a link. It is never unpickled, imported, decoded or executed here.
- [SBX-5] Code of one session meets nothing of another session, of this service or of the machine but the read-only
  Python below /usr and /opt. What a level of isolation can't promise of that is listed in its module.

`inside/` runs within the walls with the standard library alone; everything else here runs outside. `client.py` is for
the worker. Nothing here imports the rest of `worker` or `shared`, except the settings' vocabulary.
"""
