"""The blob store that the settings name."""

from __future__ import annotations

from pathlib import Path

from dais.data.blobs import BlobStore
from dais.data.store_settings import StoreSettings
from dais.kit.extras import require


def require_store() -> None:
    """Return when buckets can be used. Raises Unavailable `not-installed`."""
    require("obstore", "s3", "a store in a bucket")


def open_blobs(data_dir: Path, settings: StoreSettings, *, reserve: int = 0) -> BlobStore:
    """The store of an installation. `check` asks whether it answers. Raises Invalid, Unavailable `not-installed`."""
    if not settings.bucket:
        return BlobStore(data_dir / "blobs", reserve=reserve)
    require_store()
    from dais.data.bucket import Bucket
    from dais.data.bucket_blobs import BucketBlobs

    bucket = Bucket(settings, data_dir)
    return BucketBlobs(data_dir / "copies", bucket, reserve=reserve, cache_bytes=settings.cache_bytes)
