"""Which store the settings name."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from shared.database import Database
from shared.files.sealed import SealedStore
from shared.files.storage import BlobStore, LocalStore
from shared.settings import Settings


def store_of(settings: Settings, db: Database) -> SealedStore:
    """The store of this process, sealed by the database's vault; nothing is asked of it yet. Close it at the end."""
    return SealedStore(depot_of(settings), db.contents.vault)


def depot_of(settings: Settings) -> BlobStore:
    """Where the bytes lie, as they lie there."""
    if settings.blob_url is None:
        return LocalStore(settings.data_dir / "files")
    url = urlsplit(settings.blob_url)
    if url.scheme == "file":
        return LocalStore(Path(unquote(url.path)))
    from shared.files.s3 import Credentials, S3Store  # noqa: PLC0415 # half a second and 30 MB that others need not pay

    key, secret = settings.aws_access_key_id, settings.aws_secret_access_key
    return S3Store(
        url.netloc,
        unquote(url.path).strip("/"),
        endpoint_url=settings.aws_endpoint_url,
        region=settings.aws_region,
        credentials=None if key is None or secret is None else Credentials(key, secret, settings.aws_session_token),
        authorities=settings.aws_ca_bundle,
    )
