"""The submit form: what its fields hold, the specification that they mean, and where in it something is wrong.

A field that is empty leaves the specification as always. Every field is read by itself, so that all that is wrong in
a form is told at once, each where it stands.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from dais.kit.errors import DaisError
from dais.wire.line import mount_text
from dais.wire.names import check_environment_name
from dais.wire.problems import SpecError
from dais.wire.read import human, read_spec
from dais.wire.spec import JobSpec, Mount
from dais.wire.units import format_size

SHELL = ("sh", "-c")
"""What runs a script: the command is these two words and the script."""

TEXTS = (
    "name",
    "account",
    "image",
    "workdir",
    "group",
    "max_run_time",
    "idle_timeout",
    "bid",
    "source",
    "requirements",
    "code",
    "output",
)
LISTS = ("notify", "inputs", "ports")
"""Texts with spaces between their parts."""
RESOURCES = ("cpu", "mem", "gpu", "shm")
FLAGS = ("preemptable", "restartable", "pty")

_CODES = {
    "already-exists": "name",
    "no-such-account": "account",
    "not-allowed": "account",
    "no-such-group": "group",
    "no-such-image": "image",
    "no-such-source": "source",
    "no-such-secret": "secrets",
    "no-such-folder": "data",
    "no-such-fileset": "inputs",
    "path-conflict": "inputs",
    "no-such-file": "code",
    "cannot-mount": "data",
    "never-fits": "resources",
    "network-forbidden": "network",
    "bad-target": "notify",
    "not-built-yet": "network",
}
"""The field that a verb's error is about, where the error has no path."""


class MountRow(msgspec.Struct, frozen=True, kw_only=True):
    """A folder, a directory below its root, and where it is in the job; `mode` is `ro` or `rw`."""

    folder: str = ""
    below: str = ""
    target: str = ""
    mode: str = "ro"

    @property
    def blank(self) -> bool:
        return not (self.folder or self.below or self.target)


class PairRow(msgspec.Struct, frozen=True, kw_only=True):
    """A name and what goes with it: a variable's value, a tag's, the place of a secret."""

    name: str = ""
    value: str = ""

    @property
    def blank(self) -> bool:
        return not (self.name or self.value)


class JobForm(msgspec.Struct, frozen=True, kw_only=True):
    """The fields as texts. `run` says what `command` is: `words`, or a `script` for the shell."""

    command: str = ""
    run: str = "words"
    type: str = "batch"
    network: str = "none"
    texts: dict[str, str] = {}
    resources: dict[str, str] = {}
    flags: frozenset[str] = frozenset()
    data: list[MountRow] = []
    environment: list[PairRow] = []
    secrets: list[PairRow] = []
    tags: list[PairRow] = []

    def text(self, name: str) -> str:
        return self.texts.get(name) or self.resources.get(name) or ""


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """What a form means: a specification, or what is wrong, by the name of the field (`data[1]` for a row)."""

    spec: JobSpec | None
    wrong: dict[str, str]
    note: str = ""


def form_of(fields: Mapping[str, Sequence[str]]) -> JobForm:
    """A form as the browser sent it; rows with nothing in them are left out."""

    def one(name: str, default: str = "") -> str:
        return fields[name][0] if fields.get(name) else default

    def rows(*names: str) -> list[dict[str, str]]:
        columns = [list(fields.get(f"{names[0]}_{name}", ())) for name in names[1:]]
        return [dict(zip(names[1:], row, strict=True)) for row in zip(*columns, strict=False)]

    def pairs(kind: str) -> list[PairRow]:
        made = [PairRow(name=row["name"].strip(), value=_lines(row["value"])) for row in rows(kind, "name", "value")]
        return [row for row in made if not row.blank]

    mounts = [
        MountRow(**{name: value.strip() for name, value in row.items()})
        for row in rows("data", "folder", "below", "target", "mode")
    ]
    return JobForm(
        command=_lines(one("command")),
        run=one("run", "words"),
        type=one("type", "batch"),
        network=one("network", "none"),
        texts={name: text for name in (*TEXTS, *LISTS) if (text := one(name).strip())},
        resources={name: text for name in RESOURCES if (text := one(name).strip())},
        flags=frozenset(name for name in FLAGS if one(name)),
        data=[row for row in mounts if not row.blank],
        environment=pairs("environment"),
        secrets=pairs("secrets"),
        tags=pairs("tags"),
    )


def form_from(spec: JobSpec) -> JobForm:
    """The form that means this specification."""
    document = human(spec)
    script = len(spec.command) == 3 and spec.command[:2] == SHELL
    return JobForm(
        command=spec.command[2] if script else shlex.join(spec.command),
        run="script" if script else "words",
        type=spec.type,
        network=spec.network,
        texts={name: str(document[name]) for name in TEXTS if name in document}
        | {name: " ".join(document[name]) for name in LISTS if name in document},
        resources={name: str(value) for name, value in document.get("resources", {}).items()},
        flags=frozenset(name for name in FLAGS if getattr(spec, name)),
        data=[
            MountRow(folder=one.name, below=one.path, target=one.target, mode="ro" if one.read_only else "rw")
            for one in spec.data
        ],
        environment=[PairRow(name=name, value=value) for name, value in spec.environment.items()],
        secrets=[PairRow(name=use.name, value=use.file or use.variable or "") for use in spec.secrets],
        tags=[PairRow(name=name, value=value) for name, value in spec.tags.items()],
    )


def read_form(form: JobForm) -> Read:
    """The specification that a form means, or everything that is wrong in it."""
    wrong: dict[str, str] = {}
    command, note = _command(form, wrong)
    document: dict[str, Any] = {"command": command}
    for name, value in _single(form):
        _take(document, name, value, name, wrong)
    resources: dict[str, str] = {}
    for name, value in form.resources.items():
        if _fits({"resources": {name: value}}, name, wrong):
            resources[name] = value
    if resources:
        document["resources"] = resources
    _rows(form, document, wrong)
    if wrong:
        return Read(spec=None, wrong=wrong, note=note)
    try:
        return Read(spec=read_spec(document), wrong={}, note=note)
    except SpecError as error:
        return Read(spec=None, wrong={_field(error.path): _words(error)}, note=note)


def field_of(error: DaisError, form: JobForm) -> str:
    """The field that a verb's error is about; "" for the form as a whole."""
    path = error.fields.get("path")
    field = _CODES.get(error.code, _field(path) if isinstance(path, str) else "")
    if error.code.startswith(("path-", "bad-path", "absolute-path")):
        field = "data"
    if field in ("data", "secrets"):
        named = error.fields.get("folder") or error.fields.get("secret") or error.fields.get("name")
        rows = [row.folder for row in form.data] if field == "data" else [row.name for row in form.secrets]
        return f"{field}[{rows.index(named)}]" if named in rows else field
    return field


def _lines(text: str) -> str:
    """Text of several lines: browsers send each with a carriage return."""
    return text.replace("\r\n", "\n")


def _command(form: JobForm, wrong: dict[str, str]) -> tuple[list[str], str]:
    """The words of the command, and what should be known of them."""
    if not form.command.strip():
        wrong["command"] = "it is empty; write a program and its arguments, as: python train.py"
        return [], ""
    if form.run == "script":
        words, note = [*SHELL, form.command], ""
    else:
        try:
            words = shlex.split(form.command)
        except ValueError:
            wrong["command"] = "a quotation mark is opened and not closed; close it, or run it as a script"
            return [], ""
        if _goes_on_in_another_line(form.command):
            wrong["command"] = "it has several lines; run it as a script, or join them into one"
            return [], ""
        note = _shell_note(form.command)
    _fits({"command": words}, "command", wrong)
    return words, note


def _goes_on_in_another_line(text: str) -> bool:
    """Whether a line ends between words, or after a backslash, as a shell would read it; not within quotes."""
    quote = escaped = ""
    for char in text.strip():
        if char == "\n" and not quote:
            return True
        if escaped:
            escaped = ""
        elif char == "\\" and quote != "'":
            escaped = char
        elif quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
    return False


def _shell_note(text: str) -> str:
    """What a reader who expects a shell should know; "" where nothing looks like one."""
    lexer = shlex.shlex(text, posix=False)
    lexer.whitespace_split = True
    lexer.commenters = ""
    for word in lexer:
        if word[:1] in "'\"":
            continue
        if word in ("|", "||", "&", "&&", ";", ">", ">>", "<", "2>&1") or word[:1] == "~" or word[-1:] == ";":
            return f"{word} goes to the program as it is: without a shell it means nothing. Run it as a script instead?"
        if "$" in word or "*" in word:
            return f"{word} is not replaced by anything: there is no shell. Run it as a script instead?"
    return ""


def _single(form: JobForm) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = [
        (name, text.split() if name in LISTS else text) for name, text in form.texts.items()
    ]
    if form.type != "batch":
        found.append(("type", form.type))
    if form.network != "none":
        found.append(("network", form.network))
    return found + [(flag, True) for flag in FLAGS if flag in form.flags]


def _rows(form: JobForm, document: dict[str, Any], wrong: dict[str, str]) -> None:
    mounts = []
    for index, mount in enumerate(form.data):
        where = f"data[{index}]"
        if not (mount.folder and mount.target):
            missing = "the folder is missing" if not mount.folder else "the path in the job is missing; write as /data"
            wrong[where] = missing
            continue
        made = Mount(name=mount.folder, path=mount.below.strip("/"), target=mount.target, read_only=mount.mode == "ro")
        if _fits({"data": [mount_text(made)]}, where, wrong):
            mounts.append(mount_text(made))
    pairs: dict[str, list[str]] = {"environment": [], "secrets": [], "tags": []}
    for kind, rows in (("environment", form.environment), ("secrets", form.secrets), ("tags", form.tags)):
        for index, row in enumerate(rows):
            text = f"{row.name}:{row.value}" if kind == "secrets" and row.value else row.name
            text = text if kind == "secrets" else f"{row.name}={row.value}"
            if _named(kind, row.name, f"{kind}[{index}]", wrong) and _fits({kind: [text]}, f"{kind}[{index}]", wrong):
                pairs[kind].append(text)
    document |= {name: rows for name, rows in {"data": mounts, **pairs}.items() if rows}


def _named(kind: str, name: str, where: str, wrong: dict[str, str]) -> bool:
    if not name:
        wrong[where] = "the name is missing"
        return False
    if kind != "environment":
        return True
    try:
        check_environment_name(name, where)
    except SpecError as error:
        wrong[where] = _words(error)
        return False
    return True


def _take(document: dict[str, Any], name: str, value: Any, field: str, wrong: dict[str, str]) -> None:
    if _fits({name: value}, field, wrong):
        document[name] = value


def _fits(part: dict[str, Any], field: str, wrong: dict[str, str]) -> bool:
    """Whether a part of the document is right by itself; what is wrong is noted at the field."""
    try:
        read_spec({"command": ["true"], **part})
    except SpecError as error:
        wrong[field] = _words(error)
        return False
    return True


def _field(path: str) -> str:
    """The field of a place in the specification: of `resources.mem` it is `mem`, of `command[0]` the command."""
    base, _, rest = path.partition(".")
    if base == "resources":
        return rest or "resources"
    return base if base.startswith(("data[", "environment[", "secrets[", "tags[")) else base.partition("[")[0]


def _words(error: SpecError) -> str:
    return f"{error.problem}; {error.hint}" if error.hint else error.problem


def size_words(size: int) -> str:
    """Bytes as one writes them into the form: `16 GiB`."""
    text = format_size(size)
    return f"{text[:-2]} {text[-2:]}B" if text.endswith("i") else text
