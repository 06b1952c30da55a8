"""Code execution: what is asked of a session, and what it answers. The model is Backend.AI's, in our spelling.

Items of the console are pairs of a kind and its content, in the order in which they were printed: `stdout` and `stderr`
(text), `media` (a pair of MIME type and text, or a data URI where it is binary), `html` (text), `log` (level, time,
who, message).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from dais.wire.answer import Answer

Mode = Literal["query", "batch", "continue", "input"]
CodeState = Literal["continued", "waiting-input", "clean-finished", "build-finished", "finished", "exec-timeout"]
ItemKind = Literal["stdout", "stderr", "media", "html", "log"]

STREAM_LIMIT = 524_288
"""Characters of stdout, and of stderr, in one answer; what is printed beyond them until it is fetched is left out."""
FILE_LIMIT = 1 << 20
"""Bytes of one uploaded file."""
FILES_LIMIT = 20
"""Files of one upload."""
CODE_LIMIT = 8 << 20
"""Bytes of a request with code or input in it."""

GOES_ON = "run-goes-on"
"""The code of a refusal to wait any longer for a run that has begun: the server stops, the run does not."""


class Steps(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The commands of a batch run; `*` stands for what is usual (`clean`: nothing, `build`: make or a compiler,
    `exec`: what was built), an empty one is left out."""

    clean: str | None = None
    build: str | None = None
    exec: str | None = None


class CodeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One call. `query` and `batch` begin a run (without a `run_id` it is given one), `continue` asks for its next
    answer, `input` gives it `code` as a line of input.

    `seq` is that of the last answer that arrived: an answer that got lost is given again. `timeout` is how many seconds
    the run may take (0: no limit), `wait` how long this call waits before it says `continued`; with `follow` it answers
    as soon as anything was printed.
    """

    mode: Mode = "query"
    run_id: str | None = None
    code: str = ""
    kernel: str = "python"
    options: Steps | None = None
    seq: int | None = None
    timeout: float = 0.0
    wait: float = 2.0
    follow: bool = False


SESSION_TAG = "dais-code"
"""The tag of jobs that are there to run code in."""


class NewCodeSession(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a session's job shall be, as in a job's specification (`mem` in bytes); with `new` another one, even where
    there is one already."""

    image: str | None = None
    group: str | None = None
    cpu: float | None = None
    mem: int | None = None
    gpu: int | None = None
    environment: dict[str, str] = msgspec.field(default_factory=dict)
    network: Literal["none", "internet", "host"] = "none"
    new: bool = False


class InputWanted(Answer, frozen=True, kw_only=True):
    """What kind of input a run waits for."""

    is_password: bool = False


class CodeError(Answer, frozen=True, kw_only=True):
    """The exception that ended a run, or `KernelDied`."""

    name: str
    value: str = ""


class CodeResult(Answer, frozen=True, kw_only=True):
    """The answer to one call: what was printed since the last one, and what to do next.

    `continued`, `clean-finished`, `build-finished`: call again with mode `continue`; `waiting-input`: call with mode
    `input`; `finished` and `exec-timeout`: it is over. `exit_code` is that of the step that has ended: 0 for a cell,
    whether it raised something or not, 127 where the build has failed. `left_out` tells by kind how many characters
    were too many for this answer.
    """

    run_id: str
    seq: int
    status: CodeState
    exit_code: int | None = None
    console: list[tuple[ItemKind, Any]] = msgspec.field(default_factory=list)
    left_out: dict[str, int] = msgspec.field(default_factory=dict)
    options: InputWanted | None = None
    error: CodeError | None = None


class CodeKernel(Answer, frozen=True, kw_only=True):
    """A kernel that cells can be run with."""

    name: str
    language: str = ""
    title: str = ""


class CodeSession(Answer, frozen=True, kw_only=True):
    """The session of a job: its kernels, those started, its working directory, and its runs that have not ended."""

    kernels: list[CodeKernel]
    started: list[str] = msgspec.field(default_factory=list)
    directory: str
    current: str | None = None
    waiting: list[str] = msgspec.field(default_factory=list)


class Completions(Answer, frozen=True, kw_only=True):
    """How the word before the cursor may go on."""

    matches: list[str] = msgspec.field(default_factory=list)


class CodeFile(Answer, frozen=True, kw_only=True):
    """An entry of a directory of a session. `mtime` is in seconds since the epoch."""

    name: str
    kind: Literal["file", "directory", "link"]
    size: int = 0
    mtime: int = 0


class CodeFiles(Answer, frozen=True, kw_only=True):
    """A directory of a session: its path in the job, and at most 10,000 entries by name."""

    path: str
    files: list[CodeFile]
    truncated: bool = False


class UploadedFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file by its path in the working directory, and its content in base64."""

    path: str
    data: str


class StoredFile(Answer, frozen=True, kw_only=True):
    """A file that was stored."""

    path: str
    size: int
