"""What is kept of a key, so that it is known again and can't be read.

A key is 32 random bytes: there is nothing to guess, and a hash that is slow on purpose would only be slow (argon2id
50 ms and 64 MB a request, where this is a microsecond). What is kept is the HMAC-SHA-256 of the key's SHA-256, by a
secret that lies among the data keys, wrapped by the master key: tables and dumps tell nobody whether a key that they
have found is one of ours. It is no wall against whoever may write there, who could give their own key to another
project.

Where there is no master key there is no such secret, and the SHA-256 itself is kept. The secret is made with the first
key of all, or by `assistantd encryption seal`, which turns what is kept already into what is to be kept, for which it
needs no keys. From then on nothing else is accepted.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import TextClause

from shared.database import Database, Executor, Row, to_json
from shared.projects import statements
from shared.vault import statements as vault_statements
from shared.vault.contents import Contents, ContentUnavailable
from shared.vault.masters import NoMasterKey
from shared.vault.vault import Vault

IDLE_WITHIN = timedelta(seconds=10)  # of the transaction: twice what whoever keeps the master keys may take


def digest(key: str) -> str:
    """A key's SHA-256, by which a process remembers keys."""
    return hashlib.sha256(key.encode()).hexdigest()


async def kept(contents: Contents, key_digest: str) -> str:
    """What is kept of the key with this digest, as far as this process has seen. Raises ContentUnavailable."""
    secret = await contents.secret_of_keys()
    return key_digest if secret is None else _hash(secret, key_digest)


async def kept_since(db: Executor, contents: Contents, key_digest: str) -> str | None:
    """The same if there is a secret now; else None. Raises ContentUnavailable, also where there is one and nobody has
    told this process the master key.
    """
    if contents.vault is None:
        if await db.one(vault_statements.OF_ORGANIZATION) is not None:
            raise ContentUnavailable("Keys are hashed by a secret, for which ASSISTANTD_ENCRYPTION_KEYS has to be set.")
        return None
    secret = await contents.secret_of_keys()
    return None if secret is None else _hash(secret, key_digest)


async def insert(
    db: Executor, contents: Contents, statement: TextClause, params: Mapping[str, Any], key: str
) -> Row | None:
    """Execute the statement that makes a key, with what is to be kept of it as `hash`; the first one comes with the
    secret. Raises as `kept_since`, and then nothing is made that opens anything; a crash leaves a key at most that
    nobody was shown.
    """
    key_digest = digest(key)
    hashed = await kept_since(db, contents, key_digest)
    if hashed is None and contents.vault is not None:
        try:
            secret = await _make(db, contents.vault, statements.ADD_SECRET)
        except NoMasterKey as error:
            raise ContentUnavailable(str(error)) from None
        hashed = None if secret is None else _hash(secret, key_digest)
    row = await db.one(statement, {**params, "hash": hashed or key_digest})
    if hashed is None and (since := await kept_since(db, contents, key_digest)) is not None:
        await db.all(statements.REHASH, {"rows": to_json([{"former": key_digest, "hash": since}])})
    return row


async def look(db: Database) -> str:
    """How many keys there are, and how many of them are not hashed by the secret: a line for people."""
    row = await db.one(statements.COUNT_HASHES)
    if row is None:
        raise LookupError("SELECT count(*) returned no row")
    return f"keys: {row['keys']}, {row['plain']} of them not hashed by the secret"


async def seal(db: Database) -> int:
    """Keep of every key what is to be kept, all in one transaction; returns of how many. Raises LookupError if there is
    no vault, NoMasterKey, DamagedError. A key that is made meanwhile is seen here, or sees that there is a secret now.
    """
    vault = db.contents.vault
    if vault is None:
        raise LookupError("there is no vault")
    async with db.transaction(IDLE_WITHIN) as together:
        await together.all(statements.LOCK_KEYS)
        secret = await _make(together, vault, vault_statements.ADD_FOR_ORGANIZATION)
        if secret is None:
            raise LookupError("INSERT INTO data_keys left no row")
        plain = [row["hash"] for row in await together.all(statements.PLAIN_HASHES)]
        changed = [{"former": former, "hash": _hash(secret, former)} for former in plain]
        return len(await together.all(statements.REHASH, {"rows": to_json(changed)}))


async def _make(db: Executor, vault: Vault, statement: TextClause) -> bytes | None:
    """The secret after this statement, which may make it."""
    await db.all(statement, await vault.new_key(None))
    row = await db.one(vault_statements.OF_ORGANIZATION)
    return None if row is None else (await vault.open(row)).secret


def _hash(secret: bytes, key_digest: str) -> str:
    return statements.HMAC + hmac.digest(secret, key_digest.encode(), "sha256").hex()
