"""The code interpreter's service over TLS."""

import ssl
from pathlib import Path

import pytest

from tests.sandbox.service import SandboxService, lent
from tests.tls.certificates import NAME, Authority, agreed
from worker.sandbox.client import Done, SandboxClient, Text, UnavailableError


async def test_code_over_tls(authority: Authority) -> None:
    certificate, key = authority.files()
    with lent(certificate=certificate, key=key) as service:
        url = f"https://{NAME}:{service.port}"
        async with SandboxClient(url, service.secret, authority.file) as client:
            session = await client.open("a")
            events = [event async for event in session.execute("call_1", "print(6 * 7)")]
        assert events[0] == Text("stdout", "42\n")
        assert isinstance(events[-1], Done)

        async with SandboxClient(url, service.secret) as stranger:
            with pytest.raises(UnavailableError, match="its certificate is not trusted"):
                await stranger.health()
        async with SandboxClient(service.url, service.secret) as plain:
            with pytest.raises(UnavailableError):
                await plain.health()


def test_a_client_that_speaks_an_older_tls_is_refused(authority: Authority) -> None:
    certificate, key = authority.files()
    with lent(certificate=certificate, key=key) as service:
        with pytest.raises(ssl.SSLError):
            agreed(service.port, authority.trusting_older(ssl.TLSVersion.TLSv1_1))
        assert agreed(service.port, authority.trusting_older(ssl.TLSVersion.TLSv1_2)) == "TLSv1.2"


def test_half_of_it(authority: Authority, tmp_path: Path) -> None:
    certificate, _ = authority.files()
    process = SandboxService(tmp_path, certificate=certificate).spawn()
    process.popen.wait(30)
    process.notifications.close()

    assert process.popen.returncode == 2
    assert "ASSISTANTD_SANDBOX_CERTIFICATE and ASSISTANTD_SANDBOX_KEY: give both or neither" in process.tail()
