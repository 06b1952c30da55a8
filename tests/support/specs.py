"""Any job specification that can be checked, for tests by example."""

from __future__ import annotations

import string

from hypothesis import strategies as st

from dais.wire.names import RESERVED_PREFIXES
from dais.wire.spec import Input, JobSpec, Mount, Output, Port, Resources, SecretUse

_names = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,20}", fullmatch=True)
_texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30) | st.sampled_from(
    [
        "yes",
        "no",
        "null",
        "~",
        "1e3",
        "010",
        "0x1F",
        "12:30",
        "=",
        "<<",
        "- a",
        "# x",
        "a: b",
        "'",
        '"',
        "\t",
        "\r\n",
        "…",
    ]
)
_lines = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), max_size=20)
_variables = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,10}", fullmatch=True).filter(
    lambda name: not name.upper().startswith(RESERVED_PREFIXES)
)
_parts = st.text(string.ascii_letters + string.digits + ":\\_-", min_size=1, max_size=8)
_sizes = st.integers(1 << 20, 1 << 50)


@st.composite
def _mounts(draw: st.DrawFn) -> tuple[Mount, ...]:
    targets = draw(st.lists(_parts, max_size=4, unique=True))
    return tuple(
        Mount(
            name=draw(st.sampled_from(["digits", "acme.joe.home", "acme.joe./.ssh", ".cache"])),
            target=f"/mnt/{target}",
            path="/".join(draw(st.lists(_parts, max_size=3))),
            read_only=draw(st.booleans()),
        )
        for target in targets
    )


@st.composite
def _secrets(draw: st.DrawFn) -> tuple[SecretUse, ...]:
    """Their variables are longer than those of `environment`, so that none clashes."""
    names = draw(st.lists(st.sampled_from(["TOKEN_OF_A_HUB", "PASSWORD_OF_DB", "KEY_OF_A_SERVER"]), unique=True))
    places = st.sampled_from([{}, {"variable": "v"}, {"file": "v"}])
    uses = []
    for name, place in zip(names, draw(st.lists(places, min_size=3, max_size=3)), strict=False):
        where = {key: f"/run/secrets/{name}" if key == "file" else f"VARIABLE_{name}" for key in place}
        uses.append(SecretUse(name=name, **where))
    return tuple(uses)


@st.composite
def _inputs(draw: st.DrawFn) -> tuple[Input, ...]:
    names = draw(st.lists(st.sampled_from(["corpus", "texts.en:3", "A-b_c:12"]), unique=True))
    bound = draw(st.lists(st.booleans(), min_size=3, max_size=3))
    return tuple(
        Input(fileset=name, target=f"/inputs/{at}=:" if target else None)
        for at, (name, target) in enumerate(zip(names, bound, strict=False))
    )


FIELDS = {
    "command": st.lists(_texts, min_size=1, max_size=5).map(lambda words: ("run", *words)),
    "name": st.none() | _names,
    "account": st.none() | st.just("acme.vision"),
    "image": st.none() | st.just("host"),
    "workdir": st.none() | st.just("/home/work"),
    "data": _mounts(),
    "environment": st.dictionaries(_variables, _texts, max_size=4),
    "secrets": _secrets(),
    "resources": st.builds(
        Resources,
        cpu=st.integers(1, 10**8).map(lambda n: n / 1000),
        mem=_sizes,
        gpu=st.integers(0, 64),
        shm=st.none() | _sizes,
    ),
    "type": st.sampled_from(["batch", "interactive"]),
    "preemptable": st.booleans(),
    "restartable": st.booleans(),
    "bid": st.integers(-(10**9), 10**9),
    "max_run_time": st.none() | st.integers(1, 10**8),
    "idle_timeout": st.none() | st.integers(0, 10**8),
    "tags": st.dictionaries(st.from_regex(r"[a-z./-]{1,10}", fullmatch=True), _lines, max_size=3),
    "network": st.sampled_from(["none", "internet", "host"]),
    "pty": st.booleans(),
    "source": st.none() | st.just("blake3:" + "a" * 64),
    "requirements": st.none() | st.just("") | st.just("requirements.txt"),
    "inputs": _inputs(),
    "output": st.none()
    | st.builds(Output, path=st.sampled_from(["out", "my out/ä"]), fileset=st.none() | st.just("m")),
    "code": st.none() | st.sampled_from(["/code.zip", "/a/b=c.zip:3"]),
    "group": st.none() | st.just("gpu"),
    "ports": st.sampled_from([(), (Port(name="web", port=8080), Port(name="grpc-2", port=50051, protocol="tcp"))]),
    "notify": st.sampled_from([(), ("none",), ("https://example.org/hook?a=b&c=%20", "mail:joe@example.org")]),
}
"""A strategy for each field of a specification."""

specs = st.builds(JobSpec, **FIELDS)
