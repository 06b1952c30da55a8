"""Where a client looks for the listener for bulk data."""

from __future__ import annotations

import pytest

from dais.sdk.bulk import address_of
from dais.wire.transfers import BulkPlace


@pytest.mark.parametrize(
    "api, url, expected",
    [
        ("http://localhost:8765", "", "http://localhost:9"),
        ("http://[::1]:8765", "", "http://[::1]:9"),
        ("http://lab.example/dais", "", "http://lab.example:9"),
        ("https://lab.example", "", None),
        ("https://lab.example", "https://bulk.lab.example", "https://bulk.lab.example"),
    ],
)
def test_contents_are_not_sent_in_the_clear_where_the_api_is_not(api: str, url: str, expected: str | None) -> None:
    assert address_of(api, BulkPlace(port=9, url=url, ticket="", proof="")) == expected
