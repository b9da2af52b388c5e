"""Addresses of what Sentinel watches over."""

import pytest

from shared.queue import celery_app
from shared.sentinel import Watched
from shared.settings import SettingsError, load


def test_an_address_is_taken_apart() -> None:
    watched = Watched.parse("sentinel://me:p%40ss@one,two:26380/assistants/4?sentinel_password=other")
    assert watched.sentinels == (("one", 26379), ("two", 26380))
    assert (watched.name, watched.database) == ("assistants", 4)
    assert watched.options == {"db": 4, "username": "me", "password": "p@ss"}
    assert watched.sentinel_options["password"] == "other"
    assert watched.broker_url == "sentinel://me:p%40ss@one:26379/4;sentinel://me:p%40ss@two:26380/4"
    assert "p@ss" not in repr(watched)
    assert "other" not in repr(watched)


def test_without_a_password_none_is_sent() -> None:
    watched = Watched.parse("sentinel://one/assistants")
    assert watched.broker_url == "sentinel://one:26379/0"
    assert watched.options == {"db": 0, "username": None, "password": None}
    assert "password" not in watched.sentinel_options


def test_celery_is_told_in_its_own_words() -> None:
    settings = load(database_url="postgresql://", redis_url="sentinel://:secret@one,two/assistants/1")
    app = celery_app(settings)
    assert app.conf.broker_url == "sentinel://:secret@one:26379/1;sentinel://:secret@two:26379/1"
    assert app.conf.broker_transport_options["master_name"] == "assistants"


@pytest.mark.parametrize(
    "url",
    [
        "sentinel://:secret@one:26379",
        "sentinel://:secret@/assistants",
        "sentinel://:secret@one:port/assistants",
        "sentinel://:secret@one/assistants/first",
        "sentinel://:secret@one/assistants?password=x",
    ],
)
def test_half_an_address_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(SettingsError, match=r"ASSISTANTD_REDIS_URL: expected sentinel://:password@host") as refused:
        load(database_url="postgresql://", redis_url=url)
    assert "secret" not in str(refused.value)
