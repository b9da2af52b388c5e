"""Settings: read from the environment, refused by name."""

from datetime import timedelta
from pathlib import Path

import pytest

from shared.settings import KEY_PREFIX, OPENAI_URL, SettingsError, load


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # where no .env file lies
    monkeypatch.setenv("ASSISTANTD_DATABASE_URL", "postgresql://app@localhost/assistantd")
    monkeypatch.setenv("ASSISTANTD_REDIS_URL", "redis://localhost")


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("DATABASE_URL", "mysql://x", "ASSISTANTD_DATABASE_URL: expected a URL that begins with postgresql://"),
        ("REDIS_URL", "http://x", "ASSISTANTD_REDIS_URL: expected a URL that begins with redis://"),
        ("MODEL_BASE_URL", "localhost:8000", "ASSISTANTD_MODEL_BASE_URL: expected a URL"),
        ("MODEL_ALIASES", "gpt-4=x", "ASSISTANTD_MODEL_ALIASES: expected a JSON object"),
        ("MODEL_ALIASES", '{"a": 1}', "ASSISTANTD_MODEL_ALIASES"),
        ("LEASE_DURATION", "soon", "ASSISTANTD_LEASE_DURATION: expected a number of seconds"),
        ("LEASE_DURATION", "0", "ASSISTANTD_LEASE_DURATION: must be more than 0 seconds"),
        ("RUN_EXPIRES_AFTER", "-5", "ASSISTANTD_RUN_EXPIRES_AFTER: must be more than 0 seconds"),
        ("WORKER_CONCURRENCY", "0", "ASSISTANTD_WORKER_CONCURRENCY"),
        ("LOG_FORMAT", "xml", "ASSISTANTD_LOG_FORMAT"),
        ("LEASE_DURATIN", "5", "ASSISTANTD_LEASE_DURATIN is not a setting of assistantd; did you mean"),
    ],
)
def test_a_bad_setting_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, says: str
) -> None:
    monkeypatch.setenv(f"ASSISTANTD_{variable}", value)

    with pytest.raises(SettingsError) as refused:
        load()

    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASSISTANTD_DATABASE_URL")

    with pytest.raises(SettingsError, match="ASSISTANTD_DATABASE_URL is not set"):
        load()


def test_a_misspelt_line_of_the_env_file_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ASSISTANTD_LOG_LEVLE=debug\n")

    with pytest.raises(SettingsError, match="did you mean ASSISTANTD_LOG_LEVEL"):
        load()


def test_the_environment_wins_over_the_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ASSISTANTD_LOG_LEVEL=debug\nASSISTANTD_LEASE_DURATION=2.5\n")
    monkeypatch.setenv("ASSISTANTD_LOG_LEVEL", "error")

    settings = load()

    assert settings.log_level == "error"
    assert settings.lease_duration == timedelta(seconds=2.5)


def test_openais_key_alone_means_openai(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-theirs")

    assert load().upstream == (OPENAI_URL, "sk-theirs")


def test_our_own_key_is_never_sent_to_openai(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell that has read DATA_DIR/env holds one of ours under that name."""
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY_PREFIX}abc")

    assert load().upstream is None


def test_an_endpoint_may_have_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSISTANTD_MODEL_BASE_URL", "http://localhost:11434/v1")

    assert load().upstream == ("http://localhost:11434/v1", "none")


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSISTANTD_MODEL_API_KEY", "sk-theirs")

    assert "sk-theirs" not in repr(load())
