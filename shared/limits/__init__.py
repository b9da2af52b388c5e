"""Limits by the minute: how they are counted, for all processes at once, and what is said where one is reached.

What a project may do is known with the key that a request bears, and with the run that a worker claims; where nothing
is limited nothing is asked. What is used is counted in windows (`windows.py`), whose place is Redis: all that can be
lost with it is a minute's count.

- A *request* to a project with a limit on requests counts when its key, its parameters and its content type will do,
  whatever becomes of it then, as in the original. One that is refused for a limit does not count, nor does one that is
  answered from what is kept under its Idempotency-Key.
- A request that creates a run counts when its body will do as well, for the project and for the run's model together:
  either lets it through, or it counts for neither.
- *Tokens* count for the run's model when a turn has been heard, as many as its endpoint reported. A new run is refused
  while they are used up; a turn of a run that there is waits.
"""
