"""The Slurm engine as the contract suite sees it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from dais.app.authority import CertificateAuthority
from dais.engines.contract import Bind, HostTools, LaunchRefused, LaunchSpec
from dais.engines.slurm import SlurmEngine
from dais.engines.supervised.remote import Remote
from dais.kit.vault import Vault
from tests.support.engines import Harness, Step, shell
from tests.support.slurm import Cluster, until


class SlurmHarness(Harness):
    """The Slurm engine on a cluster that many have one after the other, with a directory of its own."""

    name = "slurm"

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.directory = Path(tempfile.mkdtemp(prefix="group-", dir=cluster.place))
        self._host: HostTools | None = None

    def make(self, **options: Any) -> SlurmEngine:
        """What a node can do is found once, by the first that was opened."""
        known = self.cluster.place / "facts.json"
        if known.exists():
            shutil.copy(known, self.directory)
        vault = Vault(self.cluster.place / "secrets.key")
        self._remote = Remote(CertificateAuthority(self.cluster.place, vault))
        return SlurmEngine(self.cluster.options(**options), self.directory, self._remote)

    async def open(self, **options: Any) -> SlurmEngine:
        known = self.cluster.place / "facts.json"
        engine = self.make(**options)
        await engine.start()
        try:
            self._host = await engine.host_tools()
        except LaunchRefused:
            await engine.close()
            raise
        if not known.exists():
            shutil.copy(self.directory / "facts.json", known)
        return engine

    def argv(self, *steps: Step) -> tuple[str, ...]:
        return shell(*steps)

    def spec(self, *steps: Step, **fields: Any) -> LaunchSpec:
        assert self._host is not None, "open the engine first"
        user = {"uid": self._host.uid, "gid": self._host.gid}
        return super().spec(*steps, **{**user, "isolation": self._host.isolation, **fields})

    def unstartable(self) -> dict[str, Any]:
        return {"binds": (Bind(source=str(self.directory / "absent"), target="/mnt/absent"),)}

    async def pass_time(self, seconds: float) -> None:
        pass

    async def crash(self) -> None:
        self.cluster.crash()

    async def close(self) -> None:
        for user in (self.cluster.user, "root"):
            self.cluster.run("scancel", "--quiet", f"--user={user}")
        until(lambda: not self.cluster.run("squeue", "--noheader", "--format=%i"), "an empty queue")
        shutil.rmtree(self.directory)


class RestHarness(SlurmHarness):
    """The same, asked by slurmrestd."""

    def make(self, **options: Any) -> SlurmEngine:
        return super().make(rest=self.cluster.begin_rest(), **options)
