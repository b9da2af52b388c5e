"""What answers over HTTP, asked for real, and where files are kept."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from datetime import timedelta
from typing import Any

from openai import AsyncOpenAI, DefaultAsyncHttpxClient, OpenAIError
from sqlalchemy.exc import DBAPIError

from infra.doctor.finding import Finding, fail, ok, warn
from shared import ids, tls
from shared.database import Database
from shared.embeddings.client import Refused, Unavailable
from shared.embeddings.reranker import reranker_of
from shared.embeddings.spaces import spaces_of
from shared.files.storage import StoreUnavailable
from shared.files.stores import depot_of
from shared.settings import Settings
from shared.vault.masters import MasterKeys
from shared.vault.statements import COUNT
from worker.models.client import ModelClient, Patience
from worker.models.errors import ModelError
from worker.sandbox.client import RefusalError, SandboxClient, UnavailableError
from worker.sandbox.errors import NotFoundError, UnauthorizedError

ONCE = Patience(1, timedelta(0))
LIST_S = 10
ANY = "*"
BYTES = b"assistantd doctor"


async def examine_model(settings: Settings, model: str | None) -> AsyncIterator[Finding]:
    """One answer of a few tokens, by the way that runs take. Without a name, of what the aliases lead to, else of the
    first that the endpoint lists.
    """
    if settings.upstream is None:
        yield fail("model", "no endpoint is configured (ASSISTANTD_MODEL_BASE_URL); under `up` the toy answers")
        return
    name = settings.model_aliases.get(model, model) if model else await _some_model(settings)
    if name is None:
        yield warn("model", f"{settings.upstream[0]} lists no models: name one with --model")
        return
    client, took = ModelClient(settings), _clock()
    request = {
        "model": name,
        "messages": [{"role": "user", "content": "Say OK."}],
        client.counts_as: 16,
        "stream": True,
    }
    try:
        async with aclosing(client.stream(request, ONCE)) as chunks:
            async for _ in chunks:
                pass
    except ModelError as error:
        yield fail("model", f"{name} at {settings.upstream[0]}: {error.message}")
    else:
        yield ok("model", f"{name} at {settings.upstream[0]} answered in {took()}")
    finally:
        await client.close()


async def _some_model(settings: Settings) -> str | None:
    aliases = settings.model_aliases
    if aliases:
        return aliases.get(ANY, next(iter(aliases.values())))
    if settings.upstream is None:
        return None
    base_url, key = settings.upstream
    http = DefaultAsyncHttpxClient(verify=tls.verifying(settings.ca_file))
    async with AsyncOpenAI(base_url=base_url, api_key=key, http_client=http, timeout=LIST_S, max_retries=0) as client:
        try:
            page: Any = await client.models.list()
        except OpenAIError:
            return None
    return page.data[0].id if page.data else None


async def examine_embeddings(settings: Settings) -> AsyncIterator[Finding]:
    """One vector."""
    spaces = spaces_of(settings)
    if spaces is None:
        yield ok("embeddings", "no endpoint is configured: search goes by words alone")
        return
    took = _clock()
    try:
        vectors = (await spaces.model.embed(["A sentence to be found."])).vectors
    except Unavailable as error:
        yield fail("embeddings", f"{settings.embedding_base_url} does not answer: {error}")
    except Refused as error:
        yield fail("embeddings", f"{spaces.model.model} at {settings.embedding_base_url}: {error}")
    else:
        told = f"{spaces.model.model} at {settings.embedding_base_url}: {len(vectors[0])} dimensions in {took()}"
        yield ok("embeddings", told)
    finally:
        await spaces.model.close()


async def examine_reranker(settings: Settings) -> AsyncIterator[Finding]:
    """One judgement; nothing where there is no reranker, which most do without."""
    reranker = reranker_of(settings)
    if reranker is None:
        return
    where, took = f"{settings.reranker_model} at {settings.reranker_base_url}", _clock()
    try:
        (score,) = await reranker.judge("When is the shop open?", ["The shop is open from nine to five."])
    except (Unavailable, Refused) as error:
        yield fail("reranker", f"{where}: {error}")
    else:
        yield ok("reranker", f"{where}: a score of {score:.2f} in {took()}")
    finally:
        await reranker.close()


async def examine_files(settings: Settings) -> AsyncIterator[Finding]:
    """A few bytes are stored, read and forgotten, under an id of no file: if we die between, the sweep takes them."""
    where, key, took = settings.blob_url or str(settings.data_dir / "files"), ids.new("file"), _clock()
    store = depot_of(settings)

    async def content() -> AsyncIterator[bytes]:
        yield BYTES

    try:
        await store.put(key, content())
        read = b"".join([chunk async for chunk in store.open(key)])
        await store.delete(key)
    except (StoreUnavailable, FileNotFoundError) as error:
        yield fail("files", f"{where}: {error} (ASSISTANTD_DATA_DIR, ASSISTANTD_BLOB_URL)")
    else:
        if read == BYTES:
            yield ok("files", f"{where}: stored, read and deleted in {took()}")
        else:
            yield fail("files", f"{where}: other bytes came back than were stored")
    finally:
        await store.close()


async def examine_encryption(settings: Settings) -> AsyncIterator[Finding]:
    """Can every project's key be opened? Nothing is told where the database doesn't answer: others have said so."""
    keys = settings.encryption_keys
    names = MasterKeys.parse(keys.get_secret_value()).names if keys is not None else set[str]()
    try:
        async with Database(settings.database_url, pool_size=2) as db:
            rows = await db.all(COUNT)
    except (DBAPIError, OSError):
        return
    lacking = [row["master"] for row in rows if row["master"] not in names]
    count = sum(row["in_use"] + row["retired"] for row in rows)
    if lacking:
        told = f"master keys that content and files need are not among ASSISTANTD_ENCRYPTION_KEYS: {', '.join(lacking)}"
        yield fail("encryption", told)
    elif keys is None:
        yield ok("encryption", "content and files are stored as they are; ASSISTANTD_ENCRYPTION_KEYS would seal them")
    else:
        yield ok("encryption", f"new content and files are sealed; every one of {count} data keys can be opened")


async def examine_sandbox(settings: Settings) -> AsyncIterator[Finding]:
    """How well code is isolated, and whether each service knows our secret."""
    if settings.sandbox_url is None or settings.sandbox_secret is None:
        yield warn("sandbox", "none is configured (ASSISTANTD_SANDBOX_URL): runs that use code_interpreter fail")
        return
    for url in settings.sandbox_url.split(","):
        async with SandboxClient(url, settings.sandbox_secret.get_secret_value(), settings.ca_file) as client:
            yield await _sandbox(url, client)


async def _sandbox(url: str, client: SandboxClient) -> Finding:
    try:
        told = await client.health()
        await _present(client)
    except UnauthorizedError:
        return fail("sandbox", f"{url} refuses our secret: ASSISTANTD_SANDBOX_SECRET must be the service's own")
    except (UnavailableError, RefusalError) as error:
        return fail("sandbox", f"{url}: {error} (ASSISTANTD_SANDBOX_URL)")
    return _level(told)


async def _present(client: SandboxClient) -> None:
    """Ask for what only those who know the secret may. Raises UnauthorizedError."""
    with suppress(NotFoundError):
        await client.ask("GET", "/sessions/doctor")


def _level(told: dict[str, Any]) -> Finding:
    level, holes = told["isolation"]["level"], len(told["isolation"]["holes"])
    full = f"{told['sessions']} of {told['capacity']} sessions"
    if level != "bwrap":
        return warn("sandbox", f"level {level}, {full}: for development; {holes} holes are listed at its /healthz")
    return ok("sandbox", f"level {level}, {full}")


def _clock() -> Callable[[], str]:
    began = time.monotonic()
    return lambda: f"{time.monotonic() - began:.2f} s"
