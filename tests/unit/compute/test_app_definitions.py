"""Reading definitions of apps: what they mean, and what is said of one that is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dais.compute import address, read_definition
from dais.compute.apps.definition import (
    MAX_ACTIONS,
    MAX_DEFINITION,
    Log,
    MakeDirectory,
    RunCommand,
    WriteFile,
    WriteTempfile,
    url_path,
)
from dais.kit.errors import Invalid

FULL: dict[str, Any] = {
    "prestart": [
        {"action": "write_tempfile", "args": {"body": ["port = {ports[0]}\n"], "mode": "600"}, "ref": "config"},
        {"action": "write_file", "args": {"body": ["a"], "filename": "{home}/a", "append": True}},
        {"action": "mkdir", "args": {"path": "{directory}/runs"}},
        {"action": "run_command", "args": {"command": ["cat", "{config}"]}, "ref": "said"},
        {"action": "log", "args": {"body": "read: {said[out]}", "debug": True}},
    ],
    "command": ["{runtime_path}", "-m", "board", "{config}", "{{}}"],
    "env": {"BOARD": "{environ[HOME]}"},
    "url_template": "{protocol}://{host}:{port}/board?host={host}",
}


def test_every_action_is_read() -> None:
    found = read_definition(json.dumps(FULL), "board")
    assert found.prestart == (
        WriteTempfile(body=("port = {ports[0]}\n",), mode="600", ref="config"),
        WriteFile(body=("a",), filename="{home}/a", append=True),
        MakeDirectory(path="{directory}/runs"),
        RunCommand(command=("cat", "{config}"), ref="said"),
        Log(body="read: {said[out]}", debug=True),
    )
    assert found.command == ("{runtime_path}", "-m", "board", "{config}", "{{}}")
    assert found.env == {"BOARD": "{environ[HOME]}"}
    assert found.exposed
    assert read_definition(b'{"command": ["x"]}', "x").prestart == ()


@pytest.mark.parametrize(
    "template, base, expected",
    [
        (None, "http://a.job.localhost:8765/", "http://a.job.localhost:8765/"),
        ("{protocol}://{host}:{port}/lab", "http://a.job.localhost:8765/", "http://a.job.localhost:8765/lab"),
        ("http://{host}", "https://a.job.example.org/", "https://a.job.example.org/"),
        (
            "{protocol}://{host}:{port}/x?at={protocol}:{host}:{port}",
            "https://a.job.example.org",
            "https://a.job.example.org/x?at=https:a.job.example.org:443",
        ),
    ],
)
def test_an_address_is_the_apps_own_origin_and_the_path_of_its_template(
    template: str | None, base: str, expected: str
) -> None:
    text = json.dumps({"command": ["x"], "url_template": template})
    assert address(base, url_path(read_definition(text, "x").url_template)) == expected


def action(word: str, ref: str | None = None, **args: Any) -> dict[str, Any]:
    """A definition with one action."""
    return {"command": ["x"], "prestart": [{"action": word, "args": args, **({"ref": ref} if ref else {})}]}


BAD: dict[str, tuple[Any, str, str]] = {
    "no JSON": ("{", "", "it is not JSON"),
    "no mapping": ([], "", "it is no mapping of prestart, command, url_template, env"),
    "too long": (" " * (MAX_DEFINITION + 1), "", "it has more than 65,536 bytes"),
    "no command": ({}, "", "the field 'command' is missing"),
    "a field like another": ({"command": ["x"], "prestrat": []}, "prestrat", "did you mean 'prestart'?"),
    "an unknown field": ({"command": ["x"], "q": 1}, "q", "there are prestart, command, url_template, env"),
    "a command that is a text": ({"command": "x"}, "command", "it is no list of texts"),
    "an empty command": ({"command": []}, "command", "it is empty; name a program"),
    "a number in a command": ({"command": ["x", 1]}, "command[1]", "it is no text"),
    "a NUL": ({"command": ["x", "\0"]}, "command[1]", "it holds a NUL"),
    "prestart that is no list": ({"command": ["x"], "prestart": {}}, "prestart", "it is no list of at most 64 actions"),
    "too many actions": (
        {"command": ["x"], "prestart": [{}] * (MAX_ACTIONS + 1)},
        "prestart",
        "it is no list of at most 64 actions",
    ),
    "an action like another": (action("writefile"), "prestart[0].action", "did you mean 'write_file'?"),
    "an unknown action": (
        action("fly"),
        "prestart[0].action",
        "there is no action 'fly'; there are write_file, write_tempfile, mkdir, run_command, log",
    ),
    "an action without arguments": (
        {"command": ["x"], "prestart": [{"action": "mkdir"}]},
        "prestart[0]",
        "the field 'args' is missing",
    ),
    "a missing argument": (action("mkdir"), "prestart[0].args", "the field 'path' is missing"),
    "an argument of another action": (
        action("mkdir", path="a", filename="b"),
        "prestart[0].args.filename",
        "there is no such field; there are path",
    ),
    "a body that is a text": (action("write_tempfile", body="a"), "prestart[0].args.body", "it is no list of texts"),
    "a mode in words": (
        action("write_file", body=[], filename="a", mode="rw"),
        "prestart[0].args.mode",
        "'rw' is no octal mode; write for example 644",
    ),
    "append in words": (
        action("write_file", body=[], filename="a", append="yes"),
        "prestart[0].args.append",
        "it is not true or false",
    ),
    "a command to run that is empty": (
        action("run_command", command=[]),
        "prestart[0].args.command",
        "it is empty; name a program",
    ),
    "a result with a name of ours": (
        action("mkdir", "ports", path="a"),
        "prestart[0].ref",
        "'ports' cannot name a result; use a word of your own",
    ),
    "a result with a bad name": (action("mkdir", "a-b", path="a"), "prestart[0].ref", "'a-b' cannot name a result"),
    "a variable that is not there": (
        {"command": ["x", "{cfg}"]},
        "command[1]",
        "{cfg} is not defined here; there are directory, environ, home, ports, runtime_path, secret",
    ),
    "a result before it is made": (
        action("log", "later", body="{later}"),
        "prestart[0].args.body",
        "{later} is not defined here",
    ),
    "a look into an object": (
        {"command": ["x", "{ports.__class__}"]},
        "command[1]",
        "{ports.__class__} is not looked into; use an index or a key, as {ports[0]}",
    ),
    "a look by a format": ({"command": ["x", "{home:{home}}"]}, "command[1]", "is not looked into"),
    "a single brace": (
        {"command": ["x", "a { b"]},
        "command[1]",
        "a brace that is meant is written twice, {{ or }}",
    ),
    "variables that are a list": ({"command": ["x"], "env": []}, "env", "it is no mapping of variables"),
    "a variable with a bad name": ({"command": ["x"], "env": {"A-B": ""}}, "env.A-B", "this cannot name a variable"),
    "a variable that is a number": ({"command": ["x"], "env": {"A": 1}}, "env.A", "it is no text"),
    "an address elsewhere": (
        {"command": ["x"], "url_template": "https://evil.example/"},
        "url_template",
        "it does not begin with {protocol}://{host}:{port}/",
    ),
    "an address that goes on to another host": (
        {"command": ["x"], "url_template": "{protocol}://{host}:{port}@evil.example/"},
        "url_template",
        "it does not begin with {protocol}://{host}:{port}/",
    ),
    "a variable that addresses lack": (
        {"command": ["x"], "url_template": "{protocol}://{host}:{port}/{secret}"},
        "url_template",
        "{secret} is no variable; there are protocol, host, port",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_named_with_its_place_and_the_remedy(case: str) -> None:
    document, path, words = BAD[case]
    text = document if isinstance(document, str) else json.dumps(document)
    with pytest.raises(Invalid) as refused:
        read_definition(text, "board")
    assert (refused.value.code, refused.value.fields["path"]) == ("bad-app-definition", path)
    assert refused.value.message.startswith(f"the definition of app board is wrong: {path}{': ' if path else ''}")
    assert words in refused.value.message
