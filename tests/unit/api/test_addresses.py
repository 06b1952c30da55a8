"""Where a request came from, with proxies that are listed and with others."""

from __future__ import annotations

import pytest

from dais.api.addresses import HOPS, Addresses
from dais.kit.errors import Invalid


def of(addresses: Addresses, peer: str | None, *forwarded: str) -> str:
    headers = [(b"x-forwarded-for", text.encode("latin-1")) for text in forwarded]
    return addresses.of({"client": (peer, 1) if peer is not None else None, "headers": headers})


def test_what_nobody_trusted_forwards_is_not_believed() -> None:
    assert of(Addresses(), "192.0.2.1", "198.51.100.7") == "192.0.2.1"
    assert of(Addresses(["10.0.0.0/8"]), "192.0.2.1", "198.51.100.7") == "192.0.2.1"
    assert of(Addresses(["10.0.0.0/8"]), None, "198.51.100.7") == ""


@pytest.mark.parametrize(
    "forwarded, expected",
    [
        ([], "10.0.0.1"),
        (["198.51.100.7"], "198.51.100.7"),
        (["1.1.1.1, 198.51.100.7"], "198.51.100.7"),
        (["1.1.1.1", "198.51.100.7"], "198.51.100.7"),
        (["198.51.100.7, 10.2.2.2"], "198.51.100.7"),
        (["10.3.3.3, 10.2.2.2"], "10.3.3.3"),
        (["nonsense, 10.2.2.2"], "10.2.2.2"),
        (["nonsense"], "10.0.0.1"),
        (["2001:db8::1"], "2001:db8::1"),
        (["::ffff:198.51.100.7"], "198.51.100.7"),
        (["\xff\x00"], "10.0.0.1"),
    ],
)
def test_a_listed_proxy_says_who_came_to_it(forwarded: list[str], expected: str) -> None:
    assert of(Addresses(["10.0.0.0/8"]), "10.0.0.1", *forwarded) == expected


def test_long_chains_are_not_walked_to_their_end() -> None:
    chain = ", ".join(["198.51.100.7", *(["10.0.0.2"] * HOPS)])
    assert of(Addresses(["10.0.0.0/8"]), "10.0.0.1", chain) == "10.0.0.2"


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(Invalid, match="DAIS_SERVER_TRUSTED_PROXIES"):
        Addresses(["proxy.example.org"])
