#!/usr/bin/python3
"""A STAND-IN for Apptainer, which cannot be had on the machines that run these tests: it is not Apptainer.

It does what the arguments say as far as bubblewrap can: namespaces, mounts, home, variables, working directory. An
image is a line of text that says what it was pulled from; its root file system is the machine's own, with that line in
/etc/image. It knows only the options that Dais uses, and refuses others, as Apptainer does.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

FLAGS = {"--userns", "--containall", "--no-privs", "--cleanenv", "--net", "--no-home", "--nv"}
VALUES = {"--network", "--home", "--bind", "--cwd"}


def fail(words: str) -> NoReturn:
    sys.stderr.write(f"FATAL:   {words}\n")
    sys.exit(255)


def pull(words: list[str]) -> None:
    force, target, reference = words
    if force != "--force":
        fail(f"unknown flag: {force}")
    if "absent" in reference:
        fail(f"While making image from oci registry: error fetching image: {reference}: manifest unknown")
    with (Path(__file__).parent / "pulled").open("a") as counted:
        counted.write(f"{reference}\n")
    Path(target).write_text(f"{reference}\n")


def execute(words: list[str]) -> None:
    flags: set[str] = set()
    values: dict[str, str] = {}
    binds: list[str] = []
    while words[0].startswith("--"):
        name = words.pop(0)
        if name in FLAGS:
            flags.add(name)
        elif name == "--bind":
            binds.append(words.pop(0))
        elif name in VALUES:
            values[name] = words.pop(0)
        else:
            fail(f"unknown flag: {name}")
    image, *command = words
    if not Path(image).is_file():
        fail(f"While checking image: could not open image {image}: no such file or directory")
    argv = ["bwrap", "--unshare-user", "--unshare-pid", "--unshare-ipc", "--die-with-parent", "--clearenv"]
    argv += ["--ro-bind", "/usr", "/usr", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    argv += ["--ro-bind", image, "/etc/image"]
    for name in ("bin", "sbin", "lib", "lib64"):
        argv += ["--symlink", f"usr/{name}", f"/{name}"]
    if "--net" in flags and values.get("--network") == "none":
        argv.append("--unshare-net")
    if "--home" in values:
        source, target = values["--home"].split(":")
        argv += ["--bind", source, target, "--setenv", "HOME", target]
    for bind in binds:
        source, target, mode = bind.split(":")
        argv += ["--ro-bind" if mode == "ro" else "--bind", source, target]
    for name, value in os.environ.items():
        if name.startswith("APPTAINERENV_"):
            argv += ["--setenv", name.removeprefix("APPTAINERENV_"), value]
    if "--cwd" in values:
        argv += ["--chdir", values["--cwd"]]
    os.execvp("bwrap", [*argv, "--", *command])  # noqa: S606


def main() -> None:
    action, *words = [word for word in sys.argv[1:] if word != "--quiet"]
    if action == "pull":
        pull(words)
    elif action == "exec":
        execute(words)
    else:
        fail(f"unknown command {action!r}")


if __name__ == "__main__":
    main()
