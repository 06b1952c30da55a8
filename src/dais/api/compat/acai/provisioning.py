"""The services `profiler` and `auto_provisioner`: templates of jobs by their numbers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from dais.api.compat.acai.calls import Call, Calls, entity, plain_ref
from dais.api.compat.acai.jobs import get_one, job_tags, plain_name, shown_job, under_free_name, with_known_image
from dais.api.rest.jobs import check_written
from dais.compute import (
    ProvisioningSettings,
    fill_in,
    get_template,
    list_templates,
    register_template,
    submit_provisioned,
)
from dais.data import LakeFile, SetVersion, get_file, get_file_set
from dais.kit.errors import Invalid, NotFound
from dais.wire.answers import Page
from dais.wire.inputs import read_code, read_output
from dais.wire.problems import SpecError
from dais.wire.spec import Input, JobSpec
from dais.wire.templates import NewTemplate, Option, Provisioned, ProvisionedJob, Template, TemplateDetail
from dais.wire.units import parse_cores, parse_size

calls = Calls()

MIB = 1 << 20
LOOKED_AT = 100
"""Templates, the newest, among which one of the same data is searched."""


@calls.add("GET", "/profiler/similar_job")
async def similar_job(call: Call) -> Any:
    """The templates of this input and this code, as they are now, the newest first; those that failed are left out."""
    inputs, code = await _fixed_set(call), await _fixed_code(call)
    page: Page[Template] = await call.read(list_templates, _prices(call), account=call.account.id, limit=LOOKED_AT)
    found = []
    for one in page.items:
        if one.state == "failed":
            continue
        spec = (await _template(call, one.id)).spec
        if spec.code == code and [given.fileset for given in spec.inputs] == inputs:
            found.append({"id": one.number, "name": one.name, "state": one.state})
    return found


@calls.add("POST", "/profiler/register_template")
async def new_template(call: Call) -> Any:
    """Register a template, under another name while there is one of this name. Its profiling runs begin soon."""
    try:
        spec, cpu, mem = _spec(call), _cores(call), _sizes(call)
    except SpecError as error:
        raise Invalid(str(error), code=error.code) from error
    _refuse_many_nodes(call)

    async def make(name: str | None, spec: JobSpec) -> TemplateDetail:
        await check_written(call.services, spec)
        call.services.limits.submit(call.actor.id)
        new = NewTemplate(name=name or "acai", spec=spec, cpu=cpu, mem=mem)
        settings = call.services.compute.settings
        made: TemplateDetail = await call.write(register_template, new, settings, _prices(call))
        return made

    async def named(name: str | None) -> TemplateDetail:
        return await with_known_image(call, spec, lambda spec: make(name, spec))

    name = plain_name(call.text("name", ""))
    made = await under_free_name(f"template-{name}"[:63] if name and name.isdigit() else name or "acai", named)
    return {
        "id": made.number,
        "name": made.name,
        "input_file_set": made.spec.inputs[0].fileset if made.spec.inputs else None,
        "code": made.spec.code,
        "allOptionsSer": json.dumps([_values(option) for option in made.options], separators=(",", ":")),
        "state": made.state,
        "command_template": fill_in(made.command, [_place(option) for option in made.options])[-1],
        "container_image": made.spec.image,
        "memory_space": [size // MIB for size in made.mem],
        "cpu_space": made.cpu,
        "model_name": None,
        "model_id": None,
        "spawned_jobs": made.ended,
    }


@calls.add("POST", "/auto_provisioner/new_job")
async def new_job(call: Call) -> Any:
    """Submit a template's job with the best allocation; `success` is false where none is within the caps."""
    template = await _template(call, call.text("template_id"))
    wish = ProvisionedJob(
        parameters=_parameters(template, call.values.get("parameters")),
        max_time=_cap(call, "max_time", 60.0),
        max_cost=_cap(call, "max_cost", 1.0),
        optimize="time" if call.text("optimize", "cost").lower() == "time" else "cost",
    )
    path = call.text("output_path", "")
    fileset = call.text("output_file_set", "") if call.values.get("output_file_set") else None
    try:
        output = read_output(path.rstrip("/") or path, "output_path") if path else None
    except SpecError as error:
        raise Invalid(str(error), code=error.code) from error
    if output is not None and fileset:
        output = msgspec.structs.replace(output, fileset=fileset)

    async def make(name: str | None) -> Provisioned:
        call.services.limits.submit(call.actor.id)
        made: Provisioned = await call.write(
            submit_provisioned,
            call.services.compute.settings,
            _prices(call),
            template.id,
            msgspec.structs.replace(wish, name=name),
            output=output,
            tags=job_tags(call),
        )
        return made

    try:
        made = await under_free_name(plain_name(call.text("name", "")), make)
    except Invalid as error:
        if error.code != "nothing-feasible":
            raise
        return {"success": False, "submission": None, "message": error.message}
    chosen = made.prediction.chosen
    return {
        "success": True,
        "submission": {
            "status": {"message": "launching"},
            "job": {**shown_job(await get_one(call, made.job_id)), "type": "AUTOPROVISION"},
        },
        "expected_time": chosen.seconds / 60,
        "expected_cost": chosen.cost,
    }


async def _template(call: Call, ref: str) -> TemplateDetail:
    with entity(ref):
        found: TemplateDetail = await call.read(get_template, _prices(call), ref, account=call.account.id)
    if found.account != call.account.full_name:
        raise NotFound(f"Entity {ref[:40]} does not exist.", code="no-such-template")
    return found


async def _fixed_set(call: Call) -> list[str]:
    name = plain_ref(call.text("input_file_set", "").removeprefix("@"))
    if not name:
        return []
    with entity(name):
        found: SetVersion = await call.read(get_file_set, name, account=call.account.id)
    return [found.full_name]


async def _fixed_code(call: Call) -> str | None:
    path = plain_ref(call.text("code", ""))
    if not path:
        return None
    with entity(path):
        found: LakeFile = await call.read(get_file, path, account=call.account.id)
    return found.name


def _spec(call: Call) -> JobSpec:
    inputs, code = call.text("input_file_set", "").removeprefix("@"), call.text("code", "")
    return JobSpec(
        command=("/bin/bash", "-c", call.text("command_template")),
        account=call.account.id,
        image=call.text("container_image", "") or None,
        tags=job_tags(call),
        inputs=(Input(fileset=plain_ref(inputs)),) if inputs else (),
        code=read_code(plain_ref(code), "code") if code else None,
    )


def _cores(call: Call) -> tuple[float, ...]:
    return tuple(parse_cores(one, "cpu_space") for one in call.items("cpu_space"))


def _sizes(call: Call) -> tuple[int, ...]:
    """Plain numbers are of MiB, as ACAI has them here."""
    return tuple(
        round(float(text) * MIB) if text.replace(".", "", 1).isdecimal() else parse_size(text, "memory_space")
        for text in call.texts("memory_space")
    )


def _refuse_many_nodes(call: Call) -> None:
    nodes = call.texts("nnode_space")
    if nodes and "1" not in nodes:
        raise Invalid(
            f"nnode_space is {', '.join(nodes)[:80]}; jobs run on one machine here, so have 1 among it",
            code="bad-parameter",
        )


def _parameters(template: TemplateDetail, given: Any) -> dict[str, str]:
    """Values by their place, as ACAI's client sends them, or by the names of options."""
    if isinstance(given, dict):
        return {str(name): _text(value) for name, value in given.items()}
    values: Sequence[Any] = given if isinstance(given, list) else [] if given is None else [given]
    if len(values) != len(template.options):
        names = ", ".join(option.name for option in template.options) or "none"
        raise Invalid(
            f"there are {len(values)} parameters, and the template has {len(template.options)}: {names}",
            code="bad-parameter",
        )
    return {option.name: _text(value) for option, value in zip(template.options, values, strict=True)}


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Invalid(f"the parameter {str(value)[:80]!r} is neither number nor text", code="bad-parameter")
    return str(value)


def _cap(call: Call, name: str, factor: float) -> float | None:
    """A cap in seconds or money; none where it is missing or empty."""
    value = call.values.get(name)
    if value is None or value == "":
        return None
    try:
        return float(value) * factor
    except (TypeError, ValueError) as error:
        raise Invalid(f"{name} {str(value)[:40]!r} is no number", code="bad-parameter") from error


def _values(option: Option) -> list[Any]:
    """The values of an option as they were meant: numbers where all are."""
    if not option.numeric:
        return option.values
    return [int(value) if _place(option) == "%d" else float(value) for value in option.values]


def _place(option: Option) -> str:
    return "%d" if all(value.removeprefix("-").isdecimal() for value in option.values) else "%s"


def _prices(call: Call) -> ProvisioningSettings:
    return call.services.settings.get("provisioning") or ProvisioningSettings()
