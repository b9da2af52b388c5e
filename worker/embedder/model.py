"""all-MiniLM-L6-v2 with weights of 8 bits: texts in, vectors out, on this machine's processors."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from worker.embedder import facts
from worker.embedder.facts import DIMENSIONS

READS = 254  # tokens at once, next to the two that frame them: what it was trained on (it has places for 512)
FRAME = "[CLS]", "[SEP]"
AT_ONCE = 512  # tokens of one execution, padding included: more is no faster, and takes memory

Vectors = NDArray[np.float32]


class Embedded(NamedTuple):
    """Vectors of length 1, in the order of the texts, and the tokens that were read."""

    vectors: Vectors
    tokens: int


class _Piece(NamedTuple):
    text: int  # which
    ids: list[int]  # framed


class Model:
    """The model, ready to be used by several threads at once; each execution keeps one of them busy.

    A text that is longer than what the model reads at once is read in pieces of equal length, and its vector is their
    mean: nothing of it is left out silently.
    """

    name = facts.NAME
    dimensions = facts.DIMENSIONS

    def __init__(self) -> None:
        """Load it, in half a second. Raises NoModelError."""
        self._tokenizer = Tokenizer.from_file(str(facts.file(*facts.VOCABULARY)))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._begin, self._end = (self._tokenizer.encode(name, add_special_tokens=False).ids for name in FRAME)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # who calls decides how many work
        options.enable_cpu_mem_arena = False  # it would keep the memory of the largest execution
        options.log_severity_level = 3
        weights = str(facts.file(*facts.WEIGHTS))
        self._session: Any = onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])

    def embed(self, texts: Sequence[str]) -> Embedded:
        """One vector a text, none of which is empty."""
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        pieces = [piece for text, encoding in enumerate(encodings) for piece in self._pieces(text, encoding.ids)]
        sums: Vectors = np.zeros((len(texts), DIMENSIONS), np.float32)
        for batch in _batches(pieces):
            for piece, vector in zip(batch, self._execute(batch), strict=True):
                sums[piece.text] += vector * len(piece.ids)
        return Embedded(_of_length_one(sums), sum(len(piece.ids) for piece in pieces))

    def _pieces(self, text: int, ids: list[int]) -> Iterator[_Piece]:
        count = max(1, -(-len(ids) // READS))
        for number in range(count):
            part = ids[len(ids) * number // count : len(ids) * (number + 1) // count]
            yield _Piece(text, [*self._begin, *part, *self._end])

    def _execute(self, batch: Sequence[_Piece]) -> Vectors:
        """The mean of what the model says of each token, as it was trained to be used."""
        ids = np.zeros((len(batch), max(len(piece.ids) for piece in batch)), np.int64)
        for row, piece in zip(ids, batch, strict=True):
            row[: len(piece.ids)] = piece.ids
        mask = np.arange(ids.shape[1]) < np.array([[len(piece.ids)] for piece in batch])
        inputs = {"input_ids": ids, "attention_mask": mask.astype(np.int64), "token_type_ids": np.zeros_like(ids)}
        told: Vectors = self._session.run(None, inputs)[0]
        return _of_length_one((told * mask[:, :, None]).sum(axis=1))


def _batches(pieces: Sequence[_Piece]) -> Iterator[list[_Piece]]:
    """Pieces of like length together, for the shorter ones are padded."""
    batch: list[_Piece] = []
    for piece in sorted(pieces, key=lambda piece: len(piece.ids)):
        if batch and len(piece.ids) * (len(batch) + 1) > AT_ONCE:
            yield batch
            batch = []
        batch.append(piece)
    if batch:
        yield batch


def _of_length_one(vectors: Vectors) -> Vectors:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
