"""Vectors of a corpus's passages and of questions, by the embedded model; kept on disk, since making them takes an hour
of a busy processor's time.
"""

import hashlib
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from worker.embedder.facts import WINDOW
from worker.embedder.model import Model

PROCESSES = 2
BATCH = 64  # texts: what an interruption loses
MODEL = f"all-MiniLM-L6-v2, 8 bits, windows of {WINDOW}"
Vector = NDArray[np.float32]


def vectors(texts: Sequence[str], cache: Path) -> Mapping[str, Vector]:
    """Of each text; those that are not on disk yet are made, in order of length, so that none is padded."""
    with sqlite3.connect(cache / "vectors.sqlite") as kept:
        kept.execute("CREATE TABLE IF NOT EXISTS vectors (key TEXT PRIMARY KEY, vector BLOB)")
        known = {key for (key,) in kept.execute("SELECT key FROM vectors")}
        missing = sorted({text for text in texts if _key(text) not in known}, key=len)
        batches = [missing[first : first + BATCH] for first in range(0, len(missing), BATCH)]
        with ProcessPoolExecutor(PROCESSES) as pool:
            for number, (batch, made) in enumerate(zip(batches, pool.map(_embed, batches), strict=True), 1):
                rows = [(_key(text), vector.tobytes()) for text, vector in zip(batch, made, strict=True)]
                kept.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
                kept.commit()
                print(f"\rembedded {number} of {len(batches)} batches", end="", file=sys.stderr, flush=True)
        found = dict(kept.execute("SELECT key, vector FROM vectors"))
        return {text: np.frombuffer(found[_key(text)], np.float32) for text in texts}


@cache
def _model() -> Model:
    return Model()


def _embed(texts: Sequence[str]) -> Vector:
    return _model().embed(texts).vectors


def _key(text: str) -> str:
    return hashlib.sha256(f"{MODEL}\n{text}".encode()).hexdigest()
