"""How much of the suite a session of pytest runs: `poe test` runs it in two, one after the other.

In the first, two processes share the test files; in the second, tests marked `alone` have the machine to themselves.
"""

from enum import Enum, auto

import pytest

BESIDE, ALONE = "not alone", "alone"
"""What the two are asked for with `-m`, in pyproject.toml."""


class Part(Enum):
    """What of the suite runs."""

    WHOLE = auto()
    BESIDE = auto()
    ALONE = auto()
    """All that is left after BESIDE."""
    CHOSEN = auto()
    """Some paths, some tests by word or for having failed, or one process's share."""

    @classmethod
    def of(cls, config: pytest.Config) -> "Part":
        """The part that a session runs which was started with these options."""
        chosen = config.option.keyword or config.getoption("lf", default=False) or hasattr(config, "workerinput")
        if chosen or config.args_source != pytest.Config.ArgsSource.TESTPATHS:
            return cls.CHOSEN
        return {"": cls.WHOLE, BESIDE: cls.BESIDE, ALONE: cls.ALONE}.get(config.option.markexpr, cls.CHOSEN)
