"""A group on a throw-away Slurm whose jobs are two Unix users', made for the test; sudo lets the server be them."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dais.app.authority import CertificateAuthority
from dais.engines.contract import LaunchSpec
from dais.engines.slurm import SlurmEngine, SlurmOptions
from dais.engines.supervised.remote import Remote
from dais.kit.ids import new_id
from dais.kit.vault import Vault
from tests.support.needs import UNPRIVILEGED, needs_program
from tests.support.slurm import Cluster
from tests.support.users import local_user

ANN, BEA = new_id(), new_id()


@contextlib.contextmanager
def let_submit(server: str, *users: str) -> Iterator[None]:
    """The rule of sudo that the documentation gives, for the time of a test."""
    needs_program("sudo", "sudo")
    path = Path("/etc/sudoers.d") / f"dais-test-{secrets.token_hex(4)}"
    path.write_text(
        f'Defaults:{server} env_keep += "SLURM_CONF"\n'
        f"{server} ALL=({','.join(users)}) NOPASSWD: /usr/bin/sbatch, /usr/bin/scancel\n"
    )
    path.chmod(0o440)
    try:
        yield
    finally:
        path.unlink()


@dataclass(frozen=True)
class MappedGroup:
    """`ann` and `bea` are the Unix users of the users ANN and BEA."""

    cluster: Cluster
    directory: Path
    ann: pwd.struct_passwd
    bea: pwd.struct_passwd

    def options(self, **fields: Any) -> SlurmOptions:
        users = (f"{ANN}={self.ann.pw_name}", f"{BEA}={self.bea.pw_name}")
        ours = {"map_users": True, "users": users, "directory": str(self.directory), "isolation": ""}
        return self.cluster.options(**(ours | fields))

    def engine(self, **fields: Any) -> SlurmEngine:
        vault = Vault(self.cluster.place / "secrets.key")
        remote = Remote(CertificateAuthority(self.cluster.place, vault))
        return SlurmEngine(self.options(**fields), self.directory, remote)

    def spec(self, argv: Sequence[str], owner: str = ANN, **fields: Any) -> LaunchSpec:
        common: dict[str, Any] = {"env": {"PATH": "/usr/bin:/bin"}, "isolation": "sandbox", "owner": owner}
        return LaunchSpec(attempt_id=new_id(), argv=tuple(argv), **(common | fields))

    def place(self, user: pwd.struct_passwd, spec: LaunchSpec) -> Path:
        return self.directory / "users" / user.pw_name / "attempts" / spec.attempt_id


def as_user(user: pwd.struct_passwd, script: str) -> subprocess.CompletedProcess[str]:
    """What a user does outside of Dais, in a shell."""
    return subprocess.run(
        ["/bin/sh", "-c", script],
        user=user.pw_uid,
        group=user.pw_gid,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={"PATH": os.environ["PATH"]},
        timeout=60,
    )


@contextlib.contextmanager
def mapped_group(cluster: Cluster) -> Iterator[MappedGroup]:
    directory = cluster.place / f"mapped-{secrets.token_hex(4)}"
    directory.mkdir()
    os.chown(directory, UNPRIVILEGED, -1)
    with local_user() as ann, local_user() as bea, let_submit(cluster.user, ann.pw_name, bea.pw_name):
        try:
            yield MappedGroup(cluster, directory, ann, bea)
        finally:
            shutil.rmtree(directory)
