"""Settings of where contents are kept: in the data directory, or in a bucket of an S3-compatible object store."""

from __future__ import annotations

from typing import Annotated

import msgspec

from dais.kit.settings import settings


@settings("store")
class StoreSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The bucket, if there is one. Its keys come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or `store.key`."""

    bucket: Annotated[
        str,
        msgspec.Meta(description='Bucket that contents (blobs) are kept in; "": they are kept in the data directory.'),
    ] = ""
    endpoint: Annotated[
        str, msgspec.Meta(description='Address of the object store, http(s)://host:port; "": Amazon\'s of the region.')
    ] = ""
    region: Annotated[str, msgspec.Meta(description="Region of the bucket.")] = "us-east-1"
    prefix: Annotated[str, msgspec.Meta(description="What the names of all objects begin with.")] = ""
    virtual_host: Annotated[
        bool, msgspec.Meta(description="Whether the bucket is part of the host's name, not of the path.")
    ] = False
    checksums: Annotated[
        bool, msgspec.Meta(description="Whether uploads carry SHA-256, for the store to check what has come.")
    ] = True
    timeout: Annotated[
        float, msgspec.Meta(gt=0, le=3600, description="Seconds for one request of at most 16 MiB to the store.")
    ] = 60.0
    patience: Annotated[
        float, msgspec.Meta(ge=0, le=600, description="Seconds for which a request that failed is tried again.")
    ] = 15.0
    cache_bytes: Annotated[
        int, msgspec.Meta(ge=0, description="Bytes of contents that are kept in the data directory beside, read last.")
    ] = 10 << 30
