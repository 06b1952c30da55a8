"""Users of Dais whose Slurm jobs run as Unix users of their own, on a server that is an ordinary user itself."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dais.sdk import Client
from dais.sdk.errors import Forbidden, Invalid
from tests.support.installation import DAIS, Installation
from tests.support.needs import needs_program
from tests.support.places import open_place
from tests.support.slurm import Cluster
from tests.support.slurm_mapped import let_submit
from tests.support.users import local_user

pytestmark = pytest.mark.slow


@pytest.fixture
def server(slurm: Cluster) -> Iterator[tuple[Installation, str, Path]]:
    """One that runs as a user made for it, which Slurm's nodes know; that user's name; a directory for the group."""
    needs_program("setpriv", "util-linux")
    with local_user() as user, open_place() as place:
        made = Installation(place / "installation")
        become = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        made.program = [*become, *DAIS]
        shared = slurm.place / f"shared-{user.pw_name}"
        shared.mkdir()
        for path in (place / "installation", shared):
            os.chown(path, user.pw_uid, user.pw_gid)
        try:
            made.start()
            yield made, user.pw_name, shared
        finally:
            made.close()
            shutil.rmtree(shared)


def test_two_users_jobs_run_as_two_unix_users(
    server: tuple[Installation, str, Path], slurm: Cluster, tmp_path: Path
) -> None:
    own, name, shared = server
    (tmp_path / "who.sh").write_text("id -un; cat given.txt; echo mine > given.txt; echo also > /home/work/new\n")
    (tmp_path / "given.txt").write_text("of the source\n")
    root = own.client()
    with local_user() as one, local_user() as two, let_submit(name, one.pw_name, two.pw_name):
        people = [root.users.new(name=user) for user in ("ann", "bea", "carl")]
        pairs = f"{people[0].id}={one.pw_name} {people[1].id}={two.pw_name}"
        words = [f"conf={slurm.conf}", "interval=0.5", "settle=1", "map_users=true", f"users={pairs}"]
        words += [f"directory={shared}"]
        options = [word for option in words for word in ("-o", option)]
        done = own.dais("attach", "slurm", "--name", "cluster", *options, "--json")
        assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
        clients = [Client(own.url, root.keys.new(holder=one.id).secret) for one in people]
        for client, user in zip(clients, (one, two), strict=False):
            job = client.jobs.submit(["sh", "who.sh"], group="cluster", source=client.sources.capture(tmp_path))
            job = client.jobs.wait(job.id, 60)
            assert (job.state, job.exit_code) == ("SUCCEEDED", 0), (job.detail, own.output(job.id))
            assert own.output(job.id).decode().splitlines() == [user.pw_name, "of the source"]
        with pytest.raises(Forbidden, match="carl has none there"):
            clients[2].jobs.submit(["true"], group="cluster")
        folder = clients[0].folders.create("shared").id
        with pytest.raises(Invalid, match="run as Unix users"):
            clients[0].jobs.submit(["true"], group="cluster", data=[f"{folder}:/mnt"])
        for client in clients:
            client.close()
        assert json.loads(own.dais("group", "ls", "--json").stdout)
