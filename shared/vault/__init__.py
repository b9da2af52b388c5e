"""Keys to what is stored: each project has its own, wrapped by a master key that is never stored with them.

A **master key** is the owner's: 32 bytes, in the settings, in a file, or in a service that keeps keys (`masters.py`).
It wraps **data keys** and nothing else, so that another one takes its place by rewrapping a few rows. A **data key** is
a project's: what it sealed names it, so that a newer one seals what comes and the older ones open what there is. When
the row of a data key is gone, so is what it sealed, wherever copies of that may be, unless there are copies of the row.
"""
