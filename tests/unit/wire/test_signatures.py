"""Signed requests, by the RFC's own example and by what must be refused."""

from __future__ import annotations

import base64
import hmac

import pytest

from dais.wire.signatures import mac, matches, read, sign, signature_base

SECRET = "s" * 43


def test_the_example_of_the_rfc() -> None:
    """RFC 9421, B.2.5: its secret, its request, its signature."""
    secret = base64.b64decode(
        "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=="
    )
    values = {
        "date": "Tue, 20 Apr 2021 02:07:55 GMT",
        "@authority": "example.com",
        "content-type": "application/json",
    }
    parameters = '("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"'
    base = signature_base(values, values, parameters)

    made = base64.b64encode(hmac.digest(secret, base, "sha256")).decode()
    assert made == "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8="


def test_what_is_signed_is_read_back() -> None:
    headers = sign("DAISKEY", SECRET, "POST", "/v1/jobs", "a=%20b", b"{}", 1_700_000_000, "n" * 16)
    signed = read(headers["signature-input"], headers["signature"])
    assert (signed.key, signed.created, signed.nonce) == ("DAISKEY", 1_700_000_000, "n" * 16)
    values = {
        "@method": "POST",
        "@path": "/v1/jobs",
        "@query": "?a=%20b",
        "content-digest": headers["content-digest"],
    }
    assert matches(signed, SECRET, values)
    assert not matches(signed, "t" * 43, values)
    for name in values:
        assert not matches(signed, SECRET, values | {name: "other"}), name
    assert mac(SECRET, b"x") != mac(SECRET, b"y")


GOOD = 'dais=("@method" "@path" "@query");created=1;keyid="K";nonce="0123456789abcdef"'


@pytest.mark.parametrize(
    "signature_input",
    [
        "",
        "dais",
        GOOD.replace('"@query"', ""),
        GOOD.replace('"@method" ', '"@method" "@method" '),
        GOOD.replace('"@query"', '"@query" "date"'),
        GOOD.replace("created=1;", ""),
        GOOD.replace('keyid="K"', 'keyid=""'),
        GOOD.replace("0123456789abcdef", "short"),
        f'{GOOD};alg="rsa-pss-sha512"',
        f"{GOOD}, two={GOOD[5:]}",
        GOOD + "x" * 3000,
    ],
)
def test_what_is_not_one_whole_signature_is_refused(signature_input: str) -> None:
    with pytest.raises(ValueError, match="ignature"):
        read(signature_input, "dais=:AAAA:")
    assert read(GOOD, "dais=:AAAA:").key == "K"
