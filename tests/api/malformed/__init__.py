"""Requests that nobody should send, as data: what each of them is told. New routes and fields add their rows here."""

from tests.api.malformed.addresses import ADDRESSES
from tests.api.malformed.assistants import ASSISTANTS
from tests.api.malformed.runs import RUNS
from tests.api.malformed.stores import VECTOR_STORES
from tests.api.malformed.threads import THREADS
from tests.api.malformed.uploads import UPLOADS
from tests.api.malformed.v1_files import V1_FILES

TABLE = [*ADDRESSES, *ASSISTANTS, *THREADS, *RUNS, *UPLOADS, *VECTOR_STORES, *V1_FILES]
