"""The blob store that the settings name."""

from __future__ import annotations

from pathlib import Path

from dais.data.blobs import BlobStore
from dais.data.store_settings import StoreSettings


def open_blobs(data_dir: Path, settings: StoreSettings, *, reserve: int = 0) -> BlobStore:
    """The store of an installation. `check` asks whether it answers. Raises Invalid."""
    if not settings.bucket:
        return BlobStore(data_dir / "blobs", reserve=reserve)
    from dais.data.bucket import Bucket
    from dais.data.bucket_blobs import BucketBlobs

    bucket = Bucket(settings, data_dir)
    return BucketBlobs(data_dir / "copies", bucket, reserve=reserve, cache_bytes=settings.cache_bytes)
