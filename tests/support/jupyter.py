"""Jupyter for jobs: ipykernel and JupyterLab of these tests' own environment, as archives that any job can unpack."""

from __future__ import annotations

import io
import re
import sys
import tarfile
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest

from tests.support.installation import Installation, script

SYSTEM_PYTHON = Path(f"/usr/bin/python{sys.version_info[0]}.{sys.version_info[1]}")
KERNEL = "python3"
FOLDER = "kernel"
UNPACK = """
mkdir -p site kernels/kernels/python3
tar -xf /kernel/site.tar -C site
cat > kernels/kernels/python3/kernel.json <<END
{"argv": ["python3", "-m", "ipykernel_launcher", "-f", "{connection_file}"], "display_name": "IP", "language": "python"}
END
echo unpacked; exec sleep 86400
"""

LEFT_OUT = ("debugpy", "jedi")
"""Large, and not needed to run cells."""


def with_ipykernel(site: Installation) -> str:
    """A running job in which ipykernel is installed; its id."""
    archive = ipykernel_archive()
    if FOLDER not in {folder.name for folder in site.client().folders.list()}:
        assert site.put(site.folder(FOLDER), "site.tar", archive).status < 300
    home = "/home/work"
    job = site.submit(
        *script(UNPACK), cpu=1, mem="1Gi", data=[f"{FOLDER}:/kernel"],
        environment={"PYTHONPATH": f"{home}/site", "JUPYTER_PATH": f"{home}/kernels", "IPYTHONDIR": f"{home}/.ipython"},
    )  # fmt: skip
    site.wait_output(job, b"unpacked")
    return job.id


@cache
def ipykernel_archive() -> bytes:
    """A tar of the packages of ipykernel, for `PYTHONPATH`. Skips where jobs would have another Python."""
    return _archive("ipykernel")


@cache
def jupyterlab_archive() -> bytes:
    """The same of JupyterLab, with what it serves below `share/jupyter/lab`."""
    return _archive("jupyterlab")


def jupyterlab_environment(site: str) -> dict[str, str]:
    """Variables with which a job finds it, unpacked in that directory."""
    share = f"{site}/share/jupyter"
    return {"PYTHONPATH": site, "JUPYTER_PATH": share, "JUPYTERLAB_DIR": f"{share}/lab"}


def _archive(distribution: str) -> bytes:
    if not SYSTEM_PYTHON.exists():
        pytest.skip(f"the packages of these tests are for {SYSTEM_PYTHON}, which is not here")
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name in sorted(_with_needs(distribution, set())):
            for file in metadata.files(name) or ():
                place = "/".join(part for part in file.parts if part != "..")
                wanted = place == str(file) or place.startswith("share/jupyter/")
                if wanted and "tests" not in file.parts and file.suffix not in (".pyc", ".map"):
                    archive.add(str(file.locate()), place)
    return written.getvalue()


def _with_needs(name: str, found: set[str]) -> set[str]:
    """A distribution and all that it requires."""
    if name in found or name in LEFT_OUT:
        return found
    try:
        needs = metadata.requires(name) or []
    except metadata.PackageNotFoundError:  # for another Python or system
        return found
    found.add(name)
    for need in needs:
        if "extra ==" not in need:
            _with_needs(re.split(r"[^A-Za-z0-9._-]", need, maxsplit=1)[0].lower(), found)
    return found
