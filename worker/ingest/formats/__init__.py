"""Readers of formats: each takes a file and tells its parts. They run in a child process and nowhere else.

What they read was written by anybody. They may take too long, eat all memory or crash, which is their process's end;
they open nothing but the file that they are given, and raise Unreadable for what they recognise as unreadable. Any
other exception of theirs means that the file is damaged.

To tell headings from sentences by their words unstructured asks spaCy, with a model that it downloads when first used.
We take as headings only what the document itself says is one, so that the answer would change nothing but the names of
elements that become the same part. The module that would ask is replaced, before it is imported, by one that has no
model to ask; spaCy and numba, 390 MB, stay away. A hundred web pages take 5.3 s with the model, 0.6 s with a blank one,
and 0.1 s so.
"""

import os
import sys
from types import ModuleType

_TOKENIZE = "unstructured.nlp.tokenize"


def _one_sentence(text: str) -> list[str]:
    return [text]


def _no_tags(_: str) -> list[tuple[str, str]]:
    return []


def _replace_tokenize() -> None:
    module = ModuleType(_TOKENIZE)
    module.__dict__.update(sent_tokenize=_one_sentence, word_tokenize=str.split, pos_tag=_no_tags)
    sys.modules.setdefault(_TOKENIZE, module)
    os.environ["DO_NOT_TRACK"] = "true"  # it would tell its makers of each start
    os.environ["UNSTRUCTURED_DISABLE_NOTICE"] = "1"


_replace_tokenize()
