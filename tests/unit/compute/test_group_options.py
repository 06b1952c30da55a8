"""Options of engines as the command line gives them: text."""

from __future__ import annotations

from typing import Any

import pytest

from dais.compute.groups.kinds import EngineKind, read_options
from dais.engines.contract import CheckReport, Engine
from dais.engines.slurm import SlurmOptions
from dais.kit.errors import Invalid


async def _check(_options: Any) -> CheckReport:
    raise NotImplementedError


def _make(_options: Any, _name: str) -> Engine:
    raise NotImplementedError


SLURM = EngineKind(options=SlurmOptions, make=_make, check=_check)


def test_text_is_read_as_the_type_of_its_option() -> None:
    given = {"ssh": "-oPort=2222 '-oIdentityFile=/a b'", "extra": "--exclusive", "lookahead": "4", "qos": "a"}
    options = read_options("slurm", SLURM, given)
    assert options.ssh == ("-oPort=2222", "-oIdentityFile=/a b")
    assert (options.extra, options.lookahead, options.qos) == (("--exclusive",), 4, "a")


def test_a_list_stays_one() -> None:
    assert read_options("slurm", SLURM, {"ssh": ["-p", "2222"]}).ssh == ("-p", "2222")


@pytest.mark.parametrize(
    "given,words",
    [({"ssh": "'-p"}, "No closing quotation"), ({"extra": "exclusive"}, "--[a-z]"), ({"sssh": ""}, "'ssh'")],
)
def test_what_cannot_be_so_is_told(given: dict[str, Any], words: str) -> None:
    with pytest.raises(Invalid) as told:
        read_options("slurm", SLURM, given)
    assert words in str(told.value)
