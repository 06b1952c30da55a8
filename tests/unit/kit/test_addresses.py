"""Which addresses a webhook may reach."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from dais.kit.addresses import Allowed, Internal, refuse_internal

INSIDE = [
    *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1"),
    *("169.254.169.254", "169.254.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1"),
    *("255.255.255.255", "::", "::1", "fe80::1", "fc00::1", "fd12:3456::1", "ff02::1", "2001:db8::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::1"),
    *("2001:0:4136:e378:8000:63bf:3fff:fdd2", "64:ff9b:1::1", "fd00:ec2::254"),
]
OUTSIDE = ["1.1.1.1", "8.8.8.8", "93.184.216.34", "172.32.0.1", "2606:4700:4700::1111", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("text", INSIDE)
def test_what_is_inside_is_refused(text: str) -> None:
    with pytest.raises(Internal, match="internal address"):
        refuse_internal("hook.example.org", ip_address(text))


@pytest.mark.parametrize("text", OUTSIDE)
def test_what_is_public_is_not(text: str) -> None:
    refuse_internal("hook.example.org", ip_address(text))


def test_what_the_installation_names() -> None:
    allowed = Allowed.of(["Hooks.LAN", "10.1.0.0/16", "fd00::/8", "127.0.0.1"])
    assert allowed.has_name("hooks.lan")
    assert allowed.has_name("HOOKS.lan.")
    assert not allowed.has_name("xhooks.lan")
    assert allowed.has(ip_address("10.1.2.3"))
    assert allowed.has(ip_address("127.0.0.1"))
    assert not allowed.has(ip_address("10.2.0.1"))
    assert not allowed.has(ip_address("127.0.0.2"))
