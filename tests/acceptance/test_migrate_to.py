"""An installation moves to another database, and back, and goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import postgres
from tests.support.installation import Installation, script
from tests.support.supervisor import until

TALK = "echo begun; until [ -e /gate/open ]; do sleep 0.05; done; echo end"


@pytest.mark.slow
def test_an_installation_moves_to_postgresql_and_back_while_a_job_goes_on(
    own: Installation, postgres_cluster: postgres.Cluster, tmp_path: Path
) -> None:
    gate = own.folder("gate")
    done = own.run("echo", "kept")
    running = own.submit(*script(TALK), data=["gate:/gate"])
    own.wait_output(running, b"begun\n")
    with postgres_cluster.database() as url:
        refused = own.dais("admin", "migrate-to", url)
        assert refused.returncode == 1
        assert b"stop it with `dais down`" in refused.stderr
        own.stop()
        moved = own.dais("admin", "migrate-to", url, "--json")
        assert moved.returncode == 0, moved.stderr.decode()
        there = json.loads(moved.stdout)
        assert {table["name"]: table["rows"] for table in there["tables"]}["jobs"] == 2
        again = own.dais("admin", "migrate-to", url)
        assert again.returncode == 1
        assert b"has rows already" in again.stderr
        (own.data / "dais.toml").write_text(f'[database]\nurl = "{url}"\n')
        (own.data / "dais.db").rename(tmp_path / "old.db")
        own.start()
        assert own.output(done.id) == b"kept\n"
        fresh = own.submit("true")
        assert fresh.number == running.number + 1
        (own.data / "folders" / gate / "open").touch()
        assert own.wait(running.id).state == "SUCCEEDED"
        assert own.output(running.id) == b"begun\nend\n"
        own.wait(fresh.id)
        own.stop()
        until(lambda: not (own.node / "supervisor.sock").exists(), "the supervisor has ended")
        back = own.dais("admin", "migrate-to", f"sqlite:///{own.data}/dais.db")
        assert back.returncode == 0, back.stderr.decode()
        assert b"are the same on both sides" in back.stdout
    (own.data / "dais.toml").unlink()
    own.start()
    assert own.run("true").number == fresh.number + 1
    assert own.is_well()


def test_what_is_no_place_to_move_to_is_refused(own: Installation, tmp_path: Path) -> None:
    own.stop()
    for target, words in (
        ("mysql://x/y", b"is not known"),
        (f"sqlite:///{own.data}/dais.db", b"already"),
        ("sqlite:////nowhere/at/all.db", b"make it first"),
        ("postgresql://nobody:secret@127.0.0.1:1/x", b"cannot be reached"),
    ):
        refused = own.dais("admin", "migrate-to", target)
        assert refused.returncode == 1
        assert words in refused.stderr
        assert b"secret" not in refused.stderr
        assert b"fault of Dais" not in refused.stderr
