"""A job's versioned data in its specification: the file sets that it reads, its code, and what it writes.

An input is written `NAME[:N][=/target]`, the output `PATH[=FILESET]`, the code `/path.zip[:N]`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from dais.wire.lake import lake_path, parse_file, parse_set
from dais.wire.paths import PathError, clean_path
from dais.wire.problems import SpecError, nearest, shown
from dais.wire.scalars import list_of, text_of
from dais.wire.spec import Input, JobSpec, Output

WORK_DIRECTORY = "/home/work"
"""Where a job's working directory is, unless jobs share the machine's own file system."""

MAX_INPUTS = 64
INPUT_FIELDS = ("fileset", "target")
OUTPUT_FIELDS = ("path", "fileset")


def read_inputs(value: Any, path: str) -> tuple[Input, ...]:
    """The field `inputs`: texts, or mappings of `fileset` and `target`. Raises SpecError."""
    return tuple(_read_input(item, f"{path}[{index}]") for index, item in enumerate(list_of(value, path)))


def read_output(value: Any, path: str) -> Output:
    """The field `output`: a text, or a mapping of `path` and `fileset`. Raises SpecError."""
    if isinstance(value, Mapping):
        fields = _fields(value, path, OUTPUT_FIELDS)
        return Output(path=_below(fields["path"], f"{path}.path"), fileset=fields.get("fileset"))
    where, equals, name = text_of(value, path).partition("=")
    if equals and not name:
        raise _ends_with_equals(value, path, "PATH or PATH=FILESET")
    return Output(path=_below(where, path), fileset=name or None)


def read_code(value: Any, path: str) -> str:
    """The field `code`, in its one form. Raises SpecError."""
    return _file(text_of(value, path), path)


def human_input(one: Input) -> str:
    """The text that people would write."""
    return f"{one.fileset}={one.target}" if one.target is not None else one.fileset


def human_output(output: Output) -> str:
    """The text that people would write."""
    return f"{output.path}={output.fileset}" if output.fileset is not None else output.path


def check_job_data(spec: JobSpec) -> None:
    """What is said of inputs, output and code can be. Raises SpecError."""
    if len(spec.inputs) > MAX_INPUTS:
        raise SpecError("inputs", f"{len(spec.inputs)} inputs are too many; a job takes at most {MAX_INPUTS}")
    for index, one in enumerate(spec.inputs):
        path = f"inputs[{index}]"
        _check_set(one.fileset, path)
        if one in spec.inputs[:index]:
            raise SpecError(
                path, f"{shown(human_input(one))} is given twice", given=one.fileset, hint="keep one of them"
            )
    if spec.output is not None:
        _check_output(spec.output)
    if spec.code is not None and _file(spec.code, "code") != spec.code:
        raise SpecError(
            "code", f"{shown(spec.code)} is not in its plain form", hint=f"write {_file(spec.code, 'code')}"
        )


def _check_output(output: Output) -> None:
    if _below(output.path, "output") != output.path:
        plain = _below(output.path, "output")
        raise SpecError(
            "output", f"{shown(output.path)} is not in its plain form", given=output.path, hint=f"write {shown(plain)}"
        )
    if output.fileset is not None:
        _check_set(output.fileset, "output")
        if ":" in output.fileset:
            raise SpecError(
                "output",
                f"{shown(output.fileset)} names a version; a new one is given its number",
                given=output.fileset,
                hint="leave the version out",
            )


def _check_set(name: str, path: str) -> None:
    try:
        parse_set(name)
    except PathError as error:
        raise SpecError(path, str(error), given=name) from error


def _file(text: str, path: str) -> str:
    try:
        return str(parse_file(text))
    except PathError as error:
        raise SpecError(path, str(error), given=text, hint="write for example /code/train.zip:2") from error


def _below(text: str, path: str) -> str:
    """A path below the working directory in its one form, which a file can have in the data lake, too."""
    inner = text.removeprefix(WORK_DIRECTORY) if text.startswith(f"{WORK_DIRECTORY}/") else text
    try:
        plain = clean_path(inner.lstrip("/") if inner is not text else inner)
        lake_path(f"/{plain}/x" if plain else "/x")
    except PathError as error:
        raise SpecError(
            path,
            str(error),
            given=text,
            expected="a directory below the working directory",
            hint="write for example out",
        ) from error
    if not plain:
        raise SpecError(
            path,
            f"{shown(text)} is the working directory itself, which holds the inputs, too",
            given=text,
            hint="name a directory in it, as out, and let the job write there",
        )
    if "=" in plain:
        raise SpecError(
            path,
            f"{shown(text)} holds a '=', behind which the file set is named",
            given=text,
            hint="choose another path",
        )
    return plain


def _read_input(item: Any, path: str) -> Input:
    if isinstance(item, Mapping):
        return Input(**_fields(item, path, INPUT_FIELDS))
    name, equals, target = text_of(item, path).partition("=")
    if equals and not target:
        raise _ends_with_equals(item, path, "NAME[:N] or NAME[:N]=/target")
    return Input(fileset=name, target=target or None)


def _fields(item: Mapping[Any, Any], path: str, known: Collection[str]) -> dict[str, str]:
    """The fields of a mapping, of which the first known one is needed."""
    first = next(iter(known))
    for key in item:
        if key not in known:
            near = nearest(str(key), known)
            raise SpecError(
                f"{path}.{key}",
                "there is no such field",
                given=key,
                expected=", ".join(known),
                hint=f"did you mean {near!r}?" if near else f"there are {', '.join(known)}",
                code="unknown-field",
            )
    fields = {str(key): text_of(value, f"{path}.{key}") for key, value in item.items() if value is not None}
    if first not in fields:
        raise SpecError(path, f"the field {first!r} is missing", expected=", ".join(known))
    return fields


def _ends_with_equals(item: Any, path: str, expected: str) -> SpecError:
    return SpecError(
        path,
        f"{shown(item)} ends with '='",
        given=item,
        expected=expected,
        hint="leave the '=' out, or name what follows",
    )
