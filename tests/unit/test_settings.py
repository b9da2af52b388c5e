"""Settings: read from the environment, refused by name."""

from datetime import timedelta
from pathlib import Path

import pytest

from infra.stack.configuration import environment, settings_for, without
from shared import settings as module
from shared.settings import AWS, KEY_PREFIX, OPENAI_URL, SettingsError, load
from tests.system import ENCRYPTION_KEY as KEY
from worker.sandbox.settings import load as load_sandbox


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
        ("SANDBOX_URL", "http://a:8100,b:8100", "ASSISTANTD_SANDBOX_URL: expected URLs that begin with http://"),
        ("ENCRYPTION_KEYS", f"{KEY},c2hvcnQ=", "ASSISTANTD_ENCRYPTION_KEYS: key 2 is not 32 bytes in base64"),
        ("ENCRYPTION_KEYS", "in the clear", "ASSISTANTD_ENCRYPTION_KEYS: key 1 is not 32 bytes in base64"),
        ("MODEL_ALIASES", "gpt-4=x", "ASSISTANTD_MODEL_ALIASES: expected a JSON object"),
        ("MODEL_ALIASES", '{"a": 1}', "ASSISTANTD_MODEL_ALIASES"),
        ("LEASE_DURATION", "soon", "ASSISTANTD_LEASE_DURATION: expected a number of seconds"),
        ("LEASE_DURATION", "0", "ASSISTANTD_LEASE_DURATION: must be more than 0 seconds"),
        ("RUN_EXPIRES_AFTER", "-5", "ASSISTANTD_RUN_EXPIRES_AFTER: must be more than 0 seconds"),
        ("WORKER_CONCURRENCY", "0", "ASSISTANTD_WORKER_CONCURRENCY"),
        ("LOG_FORMAT", "xml", "ASSISTANTD_LOG_FORMAT"),
        ("BLOB_URL", "/var/lib/files", "ASSISTANTD_BLOB_URL: expected file:///directory or s3://bucket/prefix"),
        ("BLOB_URL", "file://files", "ASSISTANTD_BLOB_URL: expected file:// and an absolute path"),
        ("BLOB_URL", "s3:///prefix", "ASSISTANTD_BLOB_URL: expected the name of a bucket"),
        ("BLOB_URL", "s3://key:secret@bucket", "ASSISTANTD_BLOB_URL: expected nothing but a place"),
        ("BLOB_URL", "s3://bucket?region=x", "ASSISTANTD_BLOB_URL: expected nothing but a place"),
        (
            "BLOB_ULR",
            "s3://bucket",
            "ASSISTANTD_BLOB_ULR is not a setting of assistantd; did you mean ASSISTANTD_BLOB_URL",
        ),
        ("AWS_REGION", "x", "ASSISTANTD_AWS_REGION is not a setting of assistantd"),
        ("OPENAI_API_KEY", "x", "ASSISTANTD_OPENAI_API_KEY is not a setting of assistantd"),
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
    names = ["ASSISTANTD_MODEL_API_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]
    for name in names:
        monkeypatch.setenv(name, "sk-theirs")

    assert "sk-theirs" not in repr(load())


def test_a_secret_in_a_url_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSISTANTD_BLOB_URL", "s3://key:sk-theirs@bucket")

    with pytest.raises(SettingsError) as refused:
        load()

    assert "sk-theirs" not in str(refused.value)


def test_half_a_credential_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")

    with pytest.raises(SettingsError, match="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are set together"):
        load()


@pytest.mark.parametrize("name", ["AWS_SECRET_ACCES_KEY", "AWS_REGOIN", "AWS_ACCESS_KEY", "AWS_ENDPOINT"])
def test_misspelt_names_of_s3_are_refused_where_s3_is_used(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "x")
    assert load().blob_url is None
    monkeypatch.setenv("ASSISTANTD_BLOB_URL", "s3://bucket")

    with pytest.raises(SettingsError, match=f"{name} is not a setting of assistantd; did you mean AWS_"):
        load()


def test_what_other_tools_of_amazon_read_is_let_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSISTANTD_BLOB_URL", "s3://bucket/prefix")
    for name in ("AWS_PROFILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ENDPOINT_URL_STS", "AWS_CA_BUNDLE"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://s3.example.com")

    settings = load()

    assert (settings.aws_region, settings.aws_endpoint_url) == ("eu-west-1", "https://s3.example.com")


def test_children_get_what_the_env_file_says_of_s3(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "ASSISTANTD_BLOB_URL=s3://bucket\nAWS_ACCESS_KEY_ID=id\nAWS_SECRET_ACCESS_KEY=secret\nAWS_REGION=eu-west-1\n"
    )

    variables = environment(load())

    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (tmp_path / ".env").unlink()
    again = load()
    assert (again.blob_url, again.aws_access_key_id, again.aws_region) == ("s3://bucket", "id", "eu-west-1")
    assert again.aws_secret_access_key is not None
    assert again.aws_secret_access_key.get_secret_value() == "secret"
    assert not [name for name in without(variables, AWS) if name.startswith("AWS_")]


def test_a_setting_may_be_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    monkeypatch.setattr(module, "SECRETS", secrets)
    monkeypatch.delenv("ASSISTANTD_DATABASE_URL")
    (secrets / "assistantd_database_url").write_text("postgresql://app@elsewhere/assistantd\n")
    (secrets / "assistantd_redis_url").write_text("redis://elsewhere")
    (secrets / "assistantd_model_api_key").write_text("sk-of-a-file\n")

    settings = settings_for(None)

    assert settings.database_url == "postgresql://app@elsewhere/assistantd"
    assert settings.redis_url == "redis://localhost"  # the environment wins
    assert settings.model_api_key is not None
    assert settings.model_api_key.get_secret_value() == "sk-of-a-file"


def test_the_sandbox_refuses_a_credential_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "SECRETS", tmp_path)
    monkeypatch.delenv("ASSISTANTD_DATABASE_URL")
    monkeypatch.delenv("ASSISTANTD_REDIS_URL")
    (tmp_path / "assistantd_sandbox_secret").write_text("long enough, this one")
    defaults = {"environment": tmp_path, "state": tmp_path}
    assert load_sandbox(defaults).secret.get_secret_value() == "long enough, this one"

    (tmp_path / "assistantd_database_url").write_text("postgresql://")

    with pytest.raises(SettingsError, match="assistantd_database_url is there: the sandbox service must not hold"):
        load_sandbox(defaults)
