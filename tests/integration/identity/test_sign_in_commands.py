"""Passwords, invitations and demanded second factors from the command line; a lost administrator on the machine."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dais.cli.program import cli
from dais.identity import authenticate, bootstrap, check_sign_in_link, find_invitation, get_organization, list_devices
from dais.kit.clock import ManualClock
from dais.kit.database import Database, open_database
from dais.kit.database.migrate import upgrade
from tests.support import postgres
from tests.support.acme import Acme, Somebody
from tests.support.commands import Commands
from tests.support.database import every_row
from tests.support.serving import Api
from tests.support.signing_in import with_device

As = Callable[[Somebody], Commands]
PASSWORD = "lantern otter violin"


def test_a_user_is_made_with_a_password_to_be_changed(database: Database, acme: Acme, dais: As) -> None:
    joe = dais(acme.joe)
    assert "guessed soon" in joe.refused("dais user new ann@example.org --password secret123")
    joe.said(f"dais user new ann@example.org --password '{PASSWORD}'")
    assert joe.said("dais user get ann --field email").strip() == "ann@example.org"
    assert "$argon2id$" in database.read_sync(every_row)
    assert PASSWORD not in database.read_sync(every_row)


def test_a_password_is_piped_and_not_set_for_those_who_may_more(
    acme: Acme, dais: As, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
    assert "chooses another" in dais(acme.joe)("dais user password sam").err
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
    assert "chooses another" in dais(acme.joe)("dais user password joe").err  # there was none yet
    joes = (acme.joe, "joe")
    for somebody, whom in (joes, (acme.sam, "acme.joe"), (acme.eve, "acme.sam"), (acme.joe, acme.root.user.id)):
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
        assert dais(somebody)(f"dais user password {whom}").code == 1


def test_somebody_is_invited_listed_and_taken_back(database: Database, acme: Acme, dais: As) -> None:
    joe = dais(acme.joe)
    joe.said("dais account new acme.lab")
    made = joe("dais invitation new ann@example.org --account acme.lab --account acme.lab:admin")
    assert made.code == 0, made.err
    assert "sends no mail" in made.err
    secret = made.out.strip().rpartition("/invitations/")[2]
    assert database.read_sync(find_invitation, secret).roles == ("acme.lab.user", "acme.lab.admin")
    listed = json.loads(joe.said("dais invitation ls --json"))
    assert [(one["email"], one["state"], one.get("link")) for one in listed] == [("ann@example.org", "open", None)]
    for other in (acme.sam, acme.eve):
        assert dais(other)(f"dais invitation rm {listed[0]['id']}").code == 1
        assert dais(other)("dais invitation new bob@example.org --organization acme").code == 1
    joe.said(f"dais invitation rm {listed[0]['id']}")
    assert json.loads(joe.said("dais invitation ls --json")) == []
    assert "no role" in joe.refused("dais invitation new ann@example.org --account acme.lab:king")


def test_a_second_factor_is_demanded_by_those_who_administer(database: Database, acme: Acme, dais: As) -> None:
    assert dais(acme.sam)("dais organization set acme --mfa-required").code == 1
    dais(acme.joe).said("dais organization set acme --mfa-required")
    assert database.read_sync(get_organization, acme.joe.user.organization_id).mfa_required
    dais(acme.joe).said("dais organization set acme --no-mfa-required")
    assert not database.read_sync(get_organization, acme.joe.user.organization_id).mfa_required


def test_lost_devices_are_taken_away_by_those_who_may_all_that(
    database: Database, server: Api, acme: Acme, dais: As
) -> None:
    vault = server.services.desk.vault
    with_device(database, vault, acme.sam.user.id, ManualClock(database.clock.now()))
    with_device(database, vault, acme.joe.user.id, ManualClock(database.clock.now()))
    for somebody, whom in ((acme.sam, "acme.joe"), (acme.eve, acme.sam.user.id), (acme.joe, "acme.joe")):
        assert dais(somebody)(f"dais user reset {whom}").code == 1
    dais(acme.joe).said("dais user reset sam")
    assert database.read_sync(list_devices, acme.sam.user.id) == []
    assert len(database.read_sync(list_devices, acme.joe.user.id)) == 1


@pytest.mark.parametrize("more, purpose", [("", "sign-in"), (" --password", "password")])
def test_a_lost_administrator_is_let_in_on_the_machine(
    tmp_data_dir: Path, capsys: pytest.CaptureFixture[str], more: str, purpose: str
) -> None:
    url = f"sqlite:///{tmp_data_dir / 'dais.db'}"
    upgrade(url)
    opened = open_database(url)
    made = opened.write_sync(bootstrap, "root")
    assert made is not None
    words = ["admin", "reset", "local.root", "--data-dir", str(tmp_data_dir), "--json", *more.split()]
    assert cli(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["user"] == "local.root"
    assert opened.read_sync(check_sign_in_link, told["link"].rpartition("/")[2]) == purpose
    assert opened.read_sync(authenticate, made.token.secret).actor.name == "root"  # keys are not signing in
    opened.close()
    assert cli([*words[:2], "nobody", *words[3:]]) == 1
    assert "there is no user 'nobody'" in capsys.readouterr().err


def test_so_they_are_on_postgresql(
    tmp_data_dir: Path,
    postgres_cluster: postgres.Cluster,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with postgres_cluster.database() as url:
        upgrade(url)
        opened = open_database(url)
        opened.write_sync(bootstrap, "root")
        monkeypatch.setenv("DAIS_DATABASE_URL", url)
        assert cli(["admin", "reset", "local.root", "--data-dir", str(tmp_data_dir), "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert opened.read_sync(check_sign_in_link, told["link"].rpartition("/")[2]) == "sign-in"
        opened.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_nobody_but_its_owner_resets(tmp_data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_data_dir / 'dais.db'}"
    upgrade(url)
    for parent in (tmp_data_dir, *tmp_data_dir.parents):
        if parent.stat().st_uid == os.geteuid() and parent != Path("/"):
            parent.chmod(0o755)
    (tmp_data_dir / "dais.db").chmod(0o644)
    pid = os.fork()
    if pid == 0:
        os.setuid(65534)
        os._exit(cli(["admin", "reset", "local.root", "--data-dir", str(tmp_data_dir)]))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
