"""Secrets in a specification: how they are written, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from dais.wire.problems import SpecError
from dais.wire.read import human, read_spec
from dais.wire.spec import SecretUse


def secrets(*written: Any, **more: Any) -> tuple[SecretUse, ...]:
    return read_spec({"command": ["true"], "secrets": list(written), **more}).secrets


def test_every_way_to_write_them() -> None:
    found = secrets("TOKEN", "TOKEN:HF_TOKEN", "KEY:/run/secrets/key", {"name": "KEY", "file": "/home/work/.key"})
    assert found == (
        SecretUse(name="TOKEN"),
        SecretUse(name="TOKEN", variable="HF_TOKEN"),
        SecretUse(name="KEY", file="/run/secrets/key"),
        SecretUse(name="KEY", file="/home/work/.key"),
    )
    spec = read_spec({"command": ["true"], "secrets": ["A", "B:C", "D:/x/d"]})
    assert human(spec)["secrets"] == ["A", "B:C", "D:/x/d"]


def test_options_win_over_the_file_by_where_a_secret_goes() -> None:
    spec = read_spec({"command": ["true"], "secrets": ["A", "B"]}, {"secrets": ["C:A", "D:/run/secrets/d"]})
    assert [human_of(use) for use in spec.secrets] == ["B", "C:A", "D:/run/secrets/d"]


def human_of(use: SecretUse) -> str:
    return str(human(read_spec({"command": ["x"], "secrets": [{"name": use.name, **where(use)}]}))["secrets"][0])


def where(use: SecretUse) -> dict[str, str]:
    return {"file": use.file} if use.file else {"variable": use.variable} if use.variable else {}


@pytest.mark.parametrize(
    "written, said",
    [
        ("MY-TOKEN", "cannot name a secret"),
        ("1TOKEN", "cannot name a secret"),
        ("DAIS_TOKEN", "DAIS_"),
        ("eai_token", "EAI_"),
        ("TOKEN:", "ends with ':'"),
        ("TOKEN:a b", "cannot be the variable"),
        ("TOKEN:DAIS_X", "cannot be the variable"),
        ("TOKEN:/etc/passwd", "belongs to the system"),
        ("TOKEN:/run/lock", "belongs to the system"),
        ("TOKEN:/run/secrets/../x", r"'\.\.'"),
        ("TOKEN:/data/key", "lie within each other"),
        ({"variable": "X"}, "'name' is missing"),
        ({"name": "X", "value": "1"}, "no such field"),
        ({"name": "X", "file": "/x", "variable": "X"}, "a variable and a file"),
    ],
)
def test_what_cannot_be(written: Any, said: str) -> None:
    with pytest.raises(SpecError, match=said) as caught:
        secrets(written, data=["digits:/data:ro"])
    assert caught.value.path.startswith("secrets[0]")


def test_two_for_one_place_are_refused() -> None:
    with pytest.raises(SpecError, match="given twice"):
        secrets("A", "B:A")
    with pytest.raises(SpecError, match="set by `environment`"):
        secrets("A", environment={"A": "1"})
