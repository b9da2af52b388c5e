"""The audit log: who did what to the organization, or deleted what, when and from where.

An act and its entry are one statement (`statements.note`), so that neither can be without the other. What is noted is
who, which act, on which object, and which fields it was to change; values only where OpenAI's shape shows them. Nothing
that a client said is ever in it, and no secret.

Entries are chained: each has a link with a number, counted without gaps, and the SHA-256 of the link before it together
with all of the entry. A trigger makes links when the transaction commits, under a lock that all processes share; as it
is the last thing that a transaction does, the lock is held for no longer than a commit takes, no other lock is asked
for while it is held, and whatever else the act had to delete is deleted by then.

Nobody may change or remove entries and links: the privileges for that are taken away from their owner, and triggers
refuse it to superusers, who have all privileges. Neither stops a superuser who switches the triggers off, but the chain
shows it (`chain.py`): what was changed, removed, inserted or swapped no longer fits. Whoever writes all links anew from
there on, or cuts off the newest entries, leaves a chain that fits: against that helps to keep its head, the number and
the hash of its last link, where they can't get at it. `assistantd audit verify` prints it, and asks for it again.
"""
