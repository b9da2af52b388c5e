"""The moment between loading a command's code and doing its work."""

import gc
import sys


def loaded(*, wait: bool) -> str:
    """All code is loaded. With `wait`, stand here until standard input is closed; what it said is the answer.

    `main` switched the garbage collector off: going through a thousand freshly made modules again and again, with
    nothing to find, is a sixth of a start. It is on from here, and never looks at those modules again.
    """
    gc.freeze()
    gc.enable()
    return sys.stdin.read() if wait else ""
