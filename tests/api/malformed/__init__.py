"""Requests that nobody should send, as data: what each of them is told. New routes and fields add their rows here."""

from tests.api.malformed.addresses import ADDRESSES
from tests.api.malformed.assistants import ASSISTANTS
from tests.api.malformed.runs import RUNS
from tests.api.malformed.threads import THREADS

TABLE = [*ADDRESSES, *ASSISTANTS, *THREADS, *RUNS]
