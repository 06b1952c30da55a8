"""How an app is started: the service definitions of Backend.AI, as JSON.

    {"prestart": [{"action": "write_tempfile", "args": {"body": ["…"]}, "ref": "cfg"}],
     "command": ["{runtime_path}", "-m", "jupyterlab", "--config", "{cfg}"],
     "url_template": "{protocol}://{host}:{port}/lab"}

Texts are templates in Python's brace style. They are filled inside the job, with the job's own rights, but for
`url_template`, which is filled by whoever opens the app and knows three variables only.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from dais.kit.errors import Invalid
from dais.wire.problems import nearest

MAX_DEFINITION = 64 << 10
"""Bytes of a definition."""
MAX_ACTIONS = 64
_mode = re.compile(r"0?[0-7]{3}", re.ASCII)
_reference = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
_variable = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
_url = re.compile(r"(?:\{protocol\}|https?)://\{host\}(?::\{port\})?(/[^\s\x00-\x1f\x7f\\]*)?", re.ASCII)
_in_url = re.compile(r"\{([^{}]*)\}")
URL_VARIABLES = ("protocol", "host", "port")
PREDEFINED = ("ports", "runtime_path", "secret", "home", "environ", "directory")
"""Variables that every definition may use; `ports` and `runtime_path` are the seed's, the others ours."""


class WriteFile(msgspec.Struct, frozen=True, kw_only=True, tag="write_file", tag_field="action"):
    """Write lines to a file; `body` and `filename` are templates, `mode` is octal."""

    body: tuple[str, ...]
    filename: str
    mode: str = "755"
    append: bool = False
    ref: str | None = None


class WriteTempfile(msgspec.Struct, frozen=True, kw_only=True, tag="write_tempfile", tag_field="action"):
    """Write lines to a file of a new name, which is what `ref` stands for."""

    body: tuple[str, ...]
    mode: str = "755"
    ref: str | None = None


class MakeDirectory(msgspec.Struct, frozen=True, kw_only=True, tag="mkdir", tag_field="action"):
    """Make a directory and those above it; one that is there is fine."""

    path: str
    ref: str | None = None


class RunCommand(msgspec.Struct, frozen=True, kw_only=True, tag="run_command", tag_field="action"):
    """Run a command to its end; `ref` stands for what it printed, as `{ref[out]}` and `{ref[err]}`."""

    command: tuple[str, ...]
    ref: str | None = None


class Log(msgspec.Struct, frozen=True, kw_only=True, tag="log", tag_field="action"):
    """A line in the app's log; with `debug` only where somebody looks for it."""

    body: str
    debug: bool = False
    ref: str | None = None


Prestart = WriteFile | WriteTempfile | MakeDirectory | RunCommand | Log
_kinds: dict[str, type[Prestart]] = {
    "write_file": WriteFile,
    "write_tempfile": WriteTempfile,
    "mkdir": MakeDirectory,
    "run_command": RunCommand,
    "log": Log,
}


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """A checked definition. `needs` is a program without which it cannot start, `hint` what to do then.

    `exposed`: whoever reaches its port may use it, which must therefore be the job's alone. Where others reach that,
    one that is not is given a secret, and `secret_query` is what opens it then.
    """

    command: tuple[str, ...]
    prestart: tuple[Prestart, ...] = ()
    url_template: str | None = None
    env: dict[str, str] = {}
    needs: str | None = None
    hint: str = ""
    exposed: bool = True
    secret_query: str = ""


def read_definition(text: str | bytes, name: str) -> Definition:
    """The definition in a file of this name. Raises Invalid `bad-app-definition` with the place in the document."""
    if len(text) > MAX_DEFINITION:
        raise _wrong(name, "", f"it has more than {MAX_DEFINITION:,} bytes")
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _wrong(name, "", f"it is not JSON: {error}") from error
    fields = _mapping(document, name, "", ("prestart", "command", "url_template", "env"), ("command",))
    command = _texts(fields["command"], name, "command")
    if not command or not command[0]:
        raise _wrong(name, "command", "it is empty; name a program")
    defined = set(PREDEFINED)
    actions = []
    listed = fields.get("prestart", [])
    if not isinstance(listed, list) or len(listed) > MAX_ACTIONS:
        raise _wrong(name, "prestart", f"it is no list of at most {MAX_ACTIONS} actions")
    for index, item in enumerate(listed):
        actions.append(_action(item, name, f"prestart[{index}]", defined))
        if actions[-1].ref is not None:
            defined.add(actions[-1].ref)
    for index, word in enumerate(command):
        _template(word, name, f"command[{index}]", defined)
    return Definition(
        command=command,
        prestart=tuple(actions),
        url_template=_url_template(fields.get("url_template"), name),
        env=_environment(fields.get("env", {}), name, defined),
    )


def url_path(template: str | None) -> str:
    """The part of a checked `url_template` behind the host; its variables are still in it."""
    found = _url.fullmatch(template) if template else None
    return (found[1] if found else None) or "/"


def address(base: str, path: str) -> str:
    """Where an app is opened: its own origin (`base`, with or without a slash) and its path, with variables filled."""
    parts = urlsplit(base)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    values = {"protocol": parts.scheme, "host": parts.hostname or "", "port": str(port)}
    return base.rstrip("/") + _in_url.sub(lambda match: values.get(match[1], match[0]), path)


def _action(item: Any, name: str, path: str, defined: set[str]) -> Prestart:
    fields = _mapping(item, name, path, ("action", "args", "ref"), ("action", "args"))
    word = fields["action"]
    kind = _kinds.get(word) if isinstance(word, str) else None
    if kind is None:
        near = nearest(str(word), _kinds)
        hint = f"did you mean {near!r}?" if near else f"there are {', '.join(_kinds)}"
        raise _wrong(name, f"{path}.action", f"there is no action {str(word)[:40]!r}; {hint}")
    known = tuple(one for one in kind.__struct_fields__ if one != "ref")
    needed = tuple(one for one in known if one not in ("mode", "append", "debug"))
    where = f"{path}.args"
    given = _mapping(fields["args"], name, where, known, needed)
    made: dict[str, Any] = {}
    for key, value in given.items():
        at = f"{where}.{key}"
        if key == "command" or (key == "body" and kind is not Log):
            made[key] = _texts(value, name, at)
            for index, line in enumerate(made[key]):
                _template(line, name, f"{at}[{index}]", defined)
        elif key in ("append", "debug"):
            made[key] = _flag(value, name, at)
        else:
            made[key] = _text(value, name, at)
            if key == "mode" and not _mode.fullmatch(value):
                raise _wrong(name, at, f"{value[:20]!r} is no octal mode; write for example 644")
            _template(made[key], name, at, defined)
    if kind is RunCommand and not (made["command"] and made["command"][0]):
        raise _wrong(name, f"{where}.command", "it is empty; name a program")
    ref = fields.get("ref")
    if ref is not None and not (isinstance(ref, str) and _reference.fullmatch(ref) and ref not in PREDEFINED):
        raise _wrong(name, f"{path}.ref", f"{str(ref)[:40]!r} cannot name a result; use a word of your own")
    return kind(**made, ref=ref)


def _url_template(value: Any, name: str) -> str | None:
    if value is None:
        return None
    text = _text(value, name, "url_template")
    found = _url.fullmatch(text)
    if found is None:
        raise _wrong(
            name,
            "url_template",
            "it does not begin with {protocol}://{host}:{port}/, where apps are reached, or has spaces",
        )
    for variable in _in_url.findall(found[1] or ""):
        if variable not in URL_VARIABLES:
            raise _wrong(
                name, "url_template", f"{{{variable[:40]}}} is no variable; there are {', '.join(URL_VARIABLES)}"
            )
    return text


def _environment(value: Any, name: str, defined: set[str]) -> dict[str, str]:
    if not isinstance(value, dict):
        raise _wrong(name, "env", "it is no mapping of variables")
    for key, text in value.items():
        if not _variable.fullmatch(key):
            raise _wrong(name, f"env.{key[:40]}", "this cannot name a variable")
        _template(_text(text, name, f"env.{key}"), name, f"env.{key}", defined)
    return value


def _template(text: str, name: str, path: str, defined: set[str]) -> None:
    """Only variables that are defined by then, reached by index or key: attributes of Python objects are nobody's."""
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError as error:
        raise _wrong(name, path, f"{error}; a brace that is meant is written twice, {{{{ or }}}}") from error
    for _, field, layout, _ in parts:
        if field is None:
            continue
        first = re.split(r"[.\[]", field, maxsplit=1)[0]
        if first not in defined:
            raise _wrong(name, path, f"{{{field[:40]}}} is not defined here; there are {', '.join(sorted(defined))}")
        if "." in field or "{" in (layout or ""):
            raise _wrong(name, path, f"{{{field[:40]}}} is not looked into; use an index or a key, as {{ports[0]}}")


def _mapping(value: Any, name: str, path: str, known: tuple[str, ...], needed: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(name, path, f"it is no mapping of {', '.join(known)}")
    for key in value:
        if key not in known:
            near = nearest(key, known)
            hint = f"did you mean {near!r}?" if near else f"there are {', '.join(known)}"
            raise _wrong(name, f"{path}.{key[:40]}".lstrip("."), f"there is no such field; {hint}")
    for key in needed:
        if key not in value:
            raise _wrong(name, path, f"the field {key!r} is missing")
    return value


def _texts(value: Any, name: str, path: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise _wrong(name, path, "it is no list of texts")
    return tuple(_text(item, name, f"{path}[{index}]") for index, item in enumerate(value))


def _text(value: Any, name: str, path: str) -> str:
    if not isinstance(value, str):
        raise _wrong(name, path, "it is no text")
    if "\0" in value:
        raise _wrong(name, path, "it holds a NUL, which no program can be given")
    return value


def _flag(value: Any, name: str, path: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(name, path, "it is not true or false")
    return value


def _wrong(name: str, path: str, problem: str) -> Invalid:
    where = f"{path}: " if path else ""
    return Invalid(
        f"the definition of app {name} is wrong: {where}{problem}", code="bad-app-definition", app=name, path=path
    )
