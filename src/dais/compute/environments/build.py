"""What builds an environment: a script for a networked sandbox, run as a job's uid like any other container.

uv where it is found, else pip. Neither need be installed for jobs: uv is bound in, and pip is taken from the
server's own installation, so that Debian's `python3` without `python3-venv` is enough.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec

from dais.compute.launch import ENVIRONMENT, is_contained
from dais.compute.settings import ComputeSettings
from dais.engines.contract import Bind, HostTools, LaunchSpec, Limits

SOURCE = "/opt/dais/requirements"
UV = "/opt/dais/uv"
PIP = "/opt/dais/pip"

_passed_on = re.compile(
    r"(PIP|UV)_\w+|(HTTPS?|NO|ALL)_PROXY|(https?|no|all)_proxy|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE"
)
NO_PYTHON = "there is no Python in the image"
"""What a build says where it is so."""

_script = f"""set -e
command -v "$PYTHON" >/dev/null || {{ echo "{NO_PYTHON} (no $PYTHON on $PATH)"; exit 1; }}
rm -rf "$TARGET"/* "$TARGET"/.[!.]* 2>/dev/null || true
cd "$FROM"
if [ -n "$UV" ]; then
  "$UV" venv --quiet --python "$PYTHON" --allow-existing "$TARGET"
  exec "$UV" pip install --no-config --python "$TARGET/bin/python" -r "$MAIN"
elif [ -n "$PIP" ]; then
  "$PYTHON" -m venv --without-pip "$TARGET"
  PYTHONPATH="$PIP" exec "$TARGET/bin/python" -m pip install --disable-pip-version-check --no-input \\
    --progress-bar off --root-user-action ignore -r "$MAIN"
else
  "$PYTHON" -m venv "$TARGET"
  exec "$TARGET/bin/python" -m pip install --disable-pip-version-check --no-input --progress-bar off -r "$MAIN"
fi
"""


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """What a build starts from: the host image, a root directory, or an image of the engine's store and its PATH."""

    root: str | None = None
    image: str | None = None
    path: str | None = None


HOST = Base()


def image_tools(host: HostTools, image: str, python: str) -> HostTools:
    """The tools of a registered image, in place of the machine's own."""
    return msgspec.structs.replace(host, interpreter=python, version=f"of image {image}", paths=())


def build_spec(
    attempt_id: str,
    directory: Path,
    source: Path,
    main: str,
    host: HostTools,
    settings: ComputeSettings,
    base: Base = HOST,
) -> LaunchSpec:
    """The container that builds into `directory` from the requirement files in `source`.

    `host` are the tools of the base.
    """
    contained = is_contained(host)
    uv = shutil.which("uv")
    pip = _pip_directory()
    binds = [
        Bind(source=str(directory), target=ENVIRONMENT, read_only=False),
        Bind(source=str(source), target=SOURCE),
    ]
    if uv is not None:
        binds.append(Bind(source=os.path.realpath(uv), target=UV))
    elif pip is not None:
        binds.append(Bind(source=str(pip), target=f"{PIP}/pip"))
    passed_on = {name: value for name, value in os.environ.items() if _passed_on.fullmatch(name)}
    variables = {
        "PATH": base.path or "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/tmp",  # noqa: S108 (the sandbox's own)
        "LANG": "C.UTF-8",
        "TARGET": ENVIRONMENT if contained else str(directory),
        "FROM": SOURCE if contained else str(source),
        "MAIN": main,
        "PYTHON": host.interpreter,
        "UV_LINK_MODE": "copy",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV": (UV if contained else uv) if uv else "",
        "PIP": (PIP if contained else str(pip.parent)) if pip and not uv else "",
    }
    outside = (*host.paths, *_configuration_paths(passed_on, image=base != HOST)) if contained else ()
    if base.image is not None:  # an engine with images of its own knows no host paths, and binds what it is told
        binds += [Bind(source=os.path.realpath(path), target=path) for path in outside]
        outside = ()
    return LaunchSpec(
        attempt_id=attempt_id,
        argv=("/bin/sh", "-c", _script),
        env=passed_on | variables,
        workdir=SOURCE if contained else str(source),
        binds=tuple(binds) if contained else (),
        root=base.root or "host",
        image=base.image,
        ro_host=outside,
        network=build_network(host, settings, configured=bool(passed_on) or Path("/etc/pip.conf").exists()),
        hostname="dais-environment",
        uid=None if host.lease else host.uid,
        gid=None if host.lease else host.gid,
        lease=host.lease,
        limits=Limits(log=64 << 20, time=settings.preparation_limit, grace=5.0),
        isolation=host.isolation,
    )


def build_network(host: HostTools, settings: ComputeSettings, *, configured: bool) -> str:
    """The network for a build. What is `configured` for packages on the machine may lie in its own network."""
    if host.isolation == "container":  # the only one that containers can have
        return "internet"
    if settings.build_network != "auto":
        return settings.build_network
    return "internet" if host.internet and not configured else "host"


def _pip_directory() -> Path | None:
    """The pip package of the server's own interpreter."""
    found = importlib.util.find_spec("pip")
    return Path(found.origin).parent if found is not None and found.origin else None


def _configuration_paths(passed_on: Mapping[str, str], *, image: bool) -> tuple[str, ...]:
    """Files that the machine's package configuration names: without them the builder would look elsewhere.

    An image lacks the machine's certificates; they are given to the build whole, in place of its own.
    """
    candidates = ["/etc/pip.conf", "/etc/uv"]
    for name in ("PIP_CERT", "PIP_FIND_LINKS", "PIP_CONFIG_FILE", "UV_FIND_LINKS", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        candidates += passed_on.get(name, "").split()
    candidates += [path for line in _lines("/etc/pip.conf") for path in re.findall(r"(?:file://)?(/[\w./-]+)", line)]
    known = ("/usr/", "/etc/ssl/")
    kept = [path for path in candidates if path.startswith("/") and not path.startswith(known) and Path(path).exists()]
    if image and any(path.startswith("/etc/ssl/") for path in candidates):
        kept.append("/etc/ssl")
    return tuple(dict.fromkeys(kept))


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
