"""What scripts of the Element AI Toolkit do beside its how-tos: branches and versions, roles with policies, formats."""

from __future__ import annotations

import json

import pytest

from tests.support.eai import Shell, shell
from tests.support.installation import Installation

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sue(shared: Installation, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """An administrator of acme."""
    return shell(shared, tmp_path_factory.mktemp("homes"), "sue", administrator=True)


def test_branches_of_data_are_pushed_into_mounted_and_emptied(sue: Shell) -> None:
    sue("mkdir project && echo 1 > project/run.py && echo secret > project/.env && echo .env > project/.eaiignore")
    sue("eai data new acme.sue.code --verbose")
    added = sue.rows("eai data branch add acme.sue.code@empty mine")
    assert added[1][1] == "acme.sue.code@mine"
    assert "already exists" in sue.refused("eai data branch add acme.sue.code@empty mine")
    sue("eai data content rm acme.sue.code@mine .")
    sue("eai data push acme.sue.code@mine ./project:/ --verbose")
    assert sue("eai data content ls acme.sue.code@mine --fields name --no-header").split() == [".eaiignore", "run.py"]
    assert sue("eai data content ls acme.sue.code --field name") == ""
    sue("eai data branch add acme.sue.code@mine v1 && echo 2 > project/run.py")
    sue("eai data push acme.sue.code@mine ./project:/")
    mounts = "-d acme.sue.code@v1:/v1:ro -d acme.sue.code@mine:/now --data code@latest:/base"
    sue(f"eai job new {mounts} -- bash -c 'cat /v1/run.py /now/run.py; ls /base; echo 3 > /now/written'")
    assert sue.ended() == "SUCCEEDED"
    assert sue("eai job log --last") == "1\n2\n"
    sue("eai data pull acme.sue.code@mine written:renamed.txt out/ && test -s out/renamed.txt")
    sue("mkdir out/logs && touch out/logs/a.txt out/logs/b.txt out/logs/kept && eai data push code@mine out/logs:logs")
    sue("eai data content rm code@mine 'logs/*.txt'")
    assert sue("eai data content ls code@mine --path logs --field name") == "logs/kept\n"
    assert "http: 404" in sue.refused("eai data content rm code@mine 'nothing*'")
    assert sue("eai data branch ls acme.sue.code --field name").split() == ["code@mine", "code@v1"]
    assert "code@mine" in sue.refused("eai data rm --yes acme.sue.code"), "its branches go first"
    sue("eai data branch add acme.sue.code@v1 of_version")
    assert sue.rows("eai data commit acme.sue.code@v1")[1][:2] == ["code", "1"]
    sue("echo 4 > project/run.py && eai data push code@v1 ./project && eai data commit code@v1")
    assert sue("eai data versions acme.sue.code --field version").split() == ["2", "1"]
    mounts = "-d acme.sue.code@1:/one -d code@2:/two:ro"
    sue(f"eai job new {mounts} -- bash -c 'cat /one/run.py /two/run.py; ! touch /one/x'")
    assert sue.ended() == "SUCCEEDED"
    assert sue("eai job log --last").splitlines()[:2] == ["1", "4"]
    assert sue("eai data content ls code@1 --field name") == ".eaiignore\nrun.py\n"
    assert sue("eai data tree code@2").splitlines() == ["code@2", "└── .eaiignore", "└── run.py"]
    sue("eai data pull acme.sue.code@1 run.py here && grep -qx 1 here/run.py")
    sue("eai data branch add code@1 first && eai data pull code@first again && grep -qx 1 again/run.py")
    assert "never changes" in sue.refused("eai data push acme.sue.code@1 ./project", 2)
    assert "never changes" in sue.refused("eai job new -d code@1:/one:rw -- true", 2)
    sue("eai data branch rm --yes code@of_version code@first")
    sue("eai data branch rm --yes acme.sue.code@mine code@v1 && eai data rm --yes acme.sue.code")


def test_a_runner_of_its_own_account(sue: Shell) -> None:
    """A program that makes its data, its role with a policy and its job, and keeps their ids."""
    sue("eai account new acme.runner")
    data = sue("eai data new acme.runner. --fields id --no-header").strip()
    account, urn = sue("eai account get acme.runner --fields id,urn --no-header").split()
    policy = f"account:get+job:new@{urn},job:get@{urn}:job:*,data:*@$(eai data get {data} --fields urn --no-header)"
    role = sue(f'eai role new acme.runner.keeper --policy "{policy}" --fields id --no-header').strip()
    assert len(sue.rows(f"eai role policy ls {role} --no-header")) == 1
    assert "http: 400" in sue.refused("eai role new acme.runner.root --policy 'nonsense'")
    assert "http: 404" in sue.refused("eai role get acme.runner.root"), "nothing is half made"
    job = sue(
        f"eai job new --account {account} -d {data}:/runner:rw --fields id --no-header -- touch /runner/here"
    ).strip()
    assert sue.ended(job) == "SUCCEEDED"
    assert sue(f"eai data content ls {data} --field name") == "here\n"
    listed = sue("eai job ls --account acme.runner -c runner/here --fields id --fields state,runs.runTime --no-header")
    assert listed.split()[:2] == [job, "SUCCEEDED"]
    assert sue("eai job ls --mine --account acme.runner -c elsewhere --no-header") == ""


NOT_THERE = {
    "eai job new --replicas 2 -- true": "a job for each",
    "eai job new --internal-dns head -- true": "through Dais",
    "eai job new --gpu-mem 32 -- true": "--group",
    "eai job new --gpu-model-filter '!A100' -- true": "--group",
    "eai job new --cuda-version 11.0 -- true": "--group",
    "eai job new --cpu-model x -- true": "--group",
    "eai job new --infiniband -- true": "--group",
    "eai job new --role acme.sue.job_access -- true": "secret",
    "eai job new -i host": "the command",
    "eai service new testsvc --runtime acme.sue.app": "restartable job",
    "eai service update testsvc -i host --cpu 1 --mem 1": "restartable job",
    "eai docker get-registry --volatile": "a tag that you delete",
    "eai data push vscode@1 .": "eai data branch add",
    "eai data content ls vscode@empty": "eai data branch add",
}
"""Lines that are refused, each with what its message tells to do instead."""


def test_what_is_not_there_is_refused_with_what_to_do_instead(sue: Shell) -> None:
    for line, remedy in NOT_THERE.items():
        assert remedy in sue.refused(line, 2), line


def test_every_format_and_field(sue: Shell) -> None:
    sue("eai job new --tag sweep=1 --tag plain --name formats -- bash -c 'exit 3'")
    assert sue.ended() == "FAILED"
    rows = sue("eai job ls -N formats --state all --fields id,state --fields runs.exitCode --format csv").splitlines()
    job = rows[1].split(",")[0]
    assert rows == ["id,state,runs.exitCode", f"{job},FAILED,3"]
    lines = sue("eai job ls -N formats --format json").splitlines()
    shown = json.loads(lines[0])
    assert (len(lines), shown["id"], shown["runs"][0]["exitCode"], shown["alive"]) == (1, job, 3, False)
    assert {"key": "sweep", "value": "1"} in shown["tags"]
    assert "│" in sue("eai job ls -N formats --format table")
    assert sue("eai job ls --tag sweep=1 --tag plain --field id").split() == [job]
    assert sue("eai job ls --tag sweep=1 --tag other -H") == ""
    assert sue("eai job ls -r -n 1 --field id -H --state all") != sue("eai job ls -n 1 --field id -H --state all")
    assert sue(f"eai job get {job} --field runs.runTime").strip().isdecimal()
    sue(f"eai job set {job} --name renamed && eai job info {job} --job-spec > spec.yml && eai job new -f spec.yml")
    assert sue.ended() == "FAILED"
    assert sue("eai job get --last --field name") == "renamed\n", "the name of a job that has ended is free"
    assert "name: other" in sue("eai job new -f spec.yml --name other -e A=B --dry-run")
    running = sue("eai job new --name taken --fields id -H -- sleep 600").strip()
    assert "already exists" in sue.refused("eai job new --name taken -- true")
    assert sue("eai job new --name taken --enforce-name --field name -- true").startswith("taken")
    assert sue(f"eai job kill {running} --field state").strip() in ("CANCELLING", "CANCELLED")
