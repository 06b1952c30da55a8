"""In which network environments are built."""

from __future__ import annotations

import pytest

from dais.compute.environments.build import build_network
from dais.compute.settings import ComputeSettings
from dais.engines.contract import HostTools


@pytest.mark.parametrize(
    "setting, internet, configured, network",
    [
        ("auto", True, False, "internet"),
        ("auto", True, True, "host"),
        ("auto", False, False, "host"),
        ("internet", False, True, "internet"),
        ("host", True, False, "host"),
    ],
)
def test_a_build_reaches_the_internet_alone_where_that_is_enough(
    setting: str, internet: bool, configured: bool, network: str
) -> None:
    host = HostTools(interpreter="/usr/bin/python3", version="3.11.2", internet=internet)
    settings = ComputeSettings(build_network=setting)  # type: ignore[arg-type]
    assert build_network(host, settings, configured=configured) == network
