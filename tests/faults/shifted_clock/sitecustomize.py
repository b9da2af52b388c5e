"""Sets the clock of a process forward by an hour once a file appears, whose path is in `SHIFT_WHEN`.

On the path of a worker under test: Python imports a module of this name at its start. Every way to ask for the wall
clock is shifted that Python code has; the monotonic clock is not, as when an administrator sets the date.
"""

import datetime as dt
import os
import time
from pathlib import Path

SHIFT_S = 3600
_SIGNAL = Path(os.environ["SHIFT_WHEN"])
_time, _time_ns = time.time, time.time_ns


def _shift_s() -> int:
    return SHIFT_S if _SIGNAL.exists() else 0


class _Datetime(dt.datetime):
    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:
        return dt.datetime.fromtimestamp(time.time(), tz)


time.time = lambda: _time() + _shift_s()
time.time_ns = lambda: _time_ns() + _shift_s() * 10**9
dt.datetime = _Datetime
