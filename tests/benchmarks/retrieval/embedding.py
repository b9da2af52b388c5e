"""Vectors of a corpus's passages and of questions, kept on disk: a transformer takes an hour of a busy processor's time
for them.
"""

import hashlib
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.embeddings.client import Embeddings

BATCH = 64  # texts: what an interruption loses
Vector = NDArray[np.float32]


async def vectors(client: Embeddings, what: str, texts: Sequence[str], cache: Path) -> Mapping[str, Vector]:
    """Of each text; those that are not on disk yet are asked for, in order of length, so that few are padded. `what`
    tells the model from all others.
    """
    with sqlite3.connect(cache / "vectors.sqlite") as kept:
        kept.execute("CREATE TABLE IF NOT EXISTS vectors (key TEXT PRIMARY KEY, vector BLOB)")
        known = {key for (key,) in kept.execute("SELECT key FROM vectors")}
        missing = sorted({text for text in texts if _key(what, text) not in known}, key=len)
        for first in range(0, len(missing), BATCH):
            batch = missing[first : first + BATCH]
            made = np.asarray((await client.embed(batch)).vectors, np.float32)
            rows = [(_key(what, text), vector.tobytes()) for text, vector in zip(batch, made, strict=True)]
            kept.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
            kept.commit()
            print(f"\rembedded {first + len(batch)} of {len(missing)} texts", end="", file=sys.stderr, flush=True)
        found = dict(kept.execute("SELECT key, vector FROM vectors"))
        return {text: np.frombuffer(found[_key(what, text)], np.float32) for text in texts}


def _key(what: str, text: str) -> str:
    return hashlib.sha256(f"{what}\n{text}".encode()).hexdigest()
