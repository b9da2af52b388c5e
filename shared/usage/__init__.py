"""Usage: who used what, what it cost, and how much of it is allowed.

Whatever costs something leaves a *fact* in the statement that records it: a turn of the model with the turn's steps,
calls of tools with the step that they finish, vectors with the vectors. What isn't recorded isn't counted, and what is
recorded is counted once, however often a statement is sent. Facts are added up by the minute, and minutes by the hour
once they are two days old; threads, runs and assistants may go, what they used stays.

What was said by a model whose worker died, or hung up, before it had the token counts in hand, nobody knows of here.
"""
