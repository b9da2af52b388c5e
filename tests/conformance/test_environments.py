"""What happens where a client isn't installed."""

import pytest

from tests.conformance.clients import Client
from tests.conformance.conftest import require

NOBODYS = Client("openai-0.0.0")


def test_a_developer_without_network_is_told_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)

    with pytest.raises(pytest.skip.Exception, match=r"openai-0\.0\.0 is not installed: uv run python -m"):
        require(NOBODYS)


def test_ci_does_not_skip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")

    with pytest.raises(pytest.fail.Exception, match="is not installed"):
        require(NOBODYS)
