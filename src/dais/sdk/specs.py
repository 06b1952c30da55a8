"""Specifications from the arguments of a Python call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from dais.wire.spec import Input, JobSpec, Mount, Output, Port, SecretUse


def make_spec(
    base: JobSpec | None, fields: Mapping[str, Any], resources: Mapping[str, Any], account: str | None
) -> JobSpec:
    """A checked spec: `fields` and `resources` in human units (None: not given) over `base`. Raises SpecError.

    `account` is used when neither names one.
    """
    from dais.wire.read import check, read_fields, read_spec  # most commands make no spec, and wait for every import

    document = {name: _plain(value) for name, value in fields.items() if value is not None}
    amounts = {name: value for name, value in resources.items() if value is not None}
    if amounts:
        document["resources"] = amounts
    if base is None:
        spec = read_spec(document)
    else:
        changes = read_fields(document)
        if "resources" in changes:
            changes["resources"] = msgspec.structs.replace(base.resources, **changes["resources"])
        spec = check(msgspec.structs.replace(base, **changes))
    return msgspec.structs.replace(spec, account=account) if spec.account is None and account else spec


def _plain(value: Any) -> Any:
    """Structs as the mappings that people would write."""
    if isinstance(value, Mount | SecretUse | Input | Output | Port):
        return msgspec.to_builtins(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
