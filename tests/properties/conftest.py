"""A stage for each test, and how long the state machine runs on it."""

from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import pytest
from hypothesis import Phase, settings
from structlog.testing import capture_logs

from infra.embedded.postgres import Postgres
from tests.properties.promises import keep_history
from tests.properties.stage import Stage
from tests.system import create_database
from worker import sweep
from worker.runs import write

# Failing programs are not shrunk: with a database behind them that takes minutes, and they are short as they come.
PROFILES = {
    "suite": settings(max_examples=60, stateful_step_count=40, derandomize=True),
    "long": settings(max_examples=3000, stateful_step_count=60, print_blob=True),
}

for name, profile in PROFILES.items():
    settings.register_profile(name, profile, deadline=None, database=None, phases=[Phase.generate])


def chosen() -> settings:
    """The current profile where it is one of ours, else the suite's."""
    name = settings.get_current_profile_name()
    return settings.get_profile(name if name in PROFILES else "suite")


@pytest.fixture(scope="module")
def stage(postgres: Postgres) -> Iterator[Stage]:
    url = create_database(postgres.url, f"properties_{uuid4().hex}")
    keep_history(url)
    # Thousands of runs come to every end there is: what they log would be read by nobody.
    with pytest.MonkeyPatch.context() as patch, capture_logs():
        patch.setattr(write, "PAUSE_S", 0)
        patch.setattr(sweep, "LOST_AFTER", timedelta(minutes=30))  # time passes by the hour here, and only when told to
        made = Stage(f"{url}?options=-c%20synchronous_commit%3Doff")  # Postgres doesn't crash here
        yield made
        made.close()
