"""The how-tos of the Element AI Toolkit, line by line and in their order, with `eai` on a real Dais.

Lines and files are written as they are there; what they name of other installations has a name here. Images that they
build with Docker stand in as `host`; what is left out needs Docker Hub, Grafana, an IDE or a telephone.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.eai import Shell, forwarded, shell, toolkit
from tests.support.installation import Installation
from tests.support.needs import needs_program
from tests.support.supervisor import until


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("homes")


@pytest.fixture(scope="module")
def joe(shared: Installation, homes: Path) -> Shell:
    """An administrator of acme."""
    return shell(shared, homes, "joe", administrator=True)


def test_how_to_create_an_account(joe: Shell) -> None:
    joe("eai account new acme.awesome_project")
    joe("eai account new acme.awesome_project.production")
    header, row = joe.rows("eai account ls acme.awesome_project")
    assert header == ["id", "name", "organization", "parent"]
    assert row[1:] == ["production", "acme", "acme.awesome_project"]
    again = joe.refused("eai account new acme.awesome_project")
    assert "http: 409" in again
    assert "resource with this name already exists" in again


def test_how_to_delete_directories_in_a_data(joe: Shell) -> None:
    name = "acme.some_account.some_data"
    joe("eai account new acme.some_account")
    for path in ("AAA/Accelerometer Data 2019-06-28 14-00-01.txt", "BBB/.DS_Store", "BBB/BBB-1/.DS_Store", ".DS_Store"):
        file = joe.home / "some_data" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    joe(f"eai data new {name} ./some_data")
    listed = joe(f"eai data content ls {name}").splitlines()
    assert [line.rsplit(maxsplit=1) for line in listed] == [
        ["name", "status"],
        [".DS_Store", "new"],
        ["AAA", "new"],
        ["AAA/Accelerometer Data 2019-06-28 14-00-01.txt", "new"],
        ["BBB", "new"],
        ["BBB/.DS_Store", "new"],
        ["BBB/BBB-1", "new"],
        ["BBB/BBB-1/.DS_Store", "new"],
    ]
    joe(f"eai data content rm {name} AAA")
    assert [row[0] for row in joe.rows(f"eai data content ls {name}")] == [
        *("name", ".DS_Store", "BBB", "BBB/.DS_Store", "BBB/BBB-1", "BBB/BBB-1/.DS_Store")
    ]
    data = joe(f"eai data get {name} --field id").strip()
    joe(f"eai job submit --data {data}:/data -- sleep 720")
    job = joe.running()
    joe(f"eai job exec {job} -- bash -c 'rm -rf /data/BBB/BBB-1'")
    assert "BBB/BBB-1" not in joe(f"eai data content ls {name} --field name").splitlines()
    joe(f"eai job exec {job} -- bash -c 'rm -rf /data/*'")
    assert joe(f"eai data content ls {name} --field name --no-header").splitlines() == [".DS_Store"]
    joe(f"eai data content rm {name} .")
    assert joe(f"eai data content ls {name} --no-header") == ""
    joe(f"eai job kill {job}")


JOB = """\
image: registry.console.elementai.com/acme.joe/jupyter
data:
- acme.joe.home:/home/toolkit
interactive: true
command:
- /tk/bin/start.sh
- /bin/bash
- -c
- jupyter notebook --ip=0.0.0.0 --port=8080 --no-browser --NotebookApp.token='' --NotebookApp.custom_display_url=https://${EAI_JOB_ID}.job.console.elementai.com --NotebookApp.disable_check_xsrf=True --NotebookApp.allow_origin='*'
"""  # noqa: E501

REMOTE_ENV = """\
image: registry.console.elementai.com/org.acme/python_env
interactive: true
command:
- /tk/bin/start.sh
- /bin/bash
- -c
- jupyter notebook --ip=0.0.0.0 --port=8080 --no-browser --NotebookApp.token='' --NotebookApp.custom_display_url=https://${EAI_JOB_ID}.job.console.elementai.com --NotebookApp.disable_check_xsrf=True --NotebookApp.allow_origin='*'
resources:
  cpu: 4
  mem: 8
  gpu: 0
"""  # noqa: E501

HELLO_WORLD = """\
import os
print("Working dir: ", os.getcwd())
# We can import pytorch now!
import torch
print('Torch random', torch.ones([1, 3, 3]).shape)
print("Torch lib location", torch.__file__)
"""


def with_image(joe: Shell, document: str, image: str) -> str:
    """A job's file with `host` for its image; what the image has in /tk is mounted there."""
    if joe.run("eai data get acme.joe.tk").returncode:
        toolkit(joe.home / "tk")
        joe("eai data new acme.joe.tk ./tk")
    return document.replace(image, "host")


def wait_sshd(joe: Shell, port: int) -> None:
    needs_program("/usr/sbin/sshd", "openssh-server")
    until(lambda: joe.run(f"ssh {joe.ssh} -p {port} toolkit@localhost true").returncode == 0, "the job's sshd answers")


def test_how_to_develop_in_a_running_job(joe: Shell) -> None:
    joe('HOME_DATA_NAME="acme.joe.home"; eai data new $HOME_DATA_NAME')
    assert "already exists" in joe.refused("eai data new acme.joe.home")
    joe("ssh-keygen -q -t ed25519 -N '' -f id && mkdir -p home/.ssh && cp id.pub home/.ssh/authorized_keys")
    joe("eai data push acme.joe.home ./home")
    written = with_image(joe, JOB, "registry.console.elementai.com/acme.joe/jupyter")
    (joe.home / "job.yml").write_text(written)
    joe("eai job submit -f job.yml -d acme.joe.tk:/tk:ro")
    job = joe.running()
    with forwarded(joe, 2222) as port:
        wait_sshd(joe, port)
        assert joe(f"ssh {joe.ssh} -p {port} toolkit@localhost 'whoami; echo $HOME'").split()[0] in ("dais", "toolkit")
        config = "Host localhost\nForwardAgent yes\nPort 2222\nUser toolkit\n".replace("2222", str(port))
        (joe.home / "config.ssh").write_text(config)
        joe(f"ssh -F config.ssh {joe.ssh} localhost 'echo changed > /home/toolkit/code'")
        assert joe(f"eai job exec {job} -- cat /home/toolkit/code") == "changed\n"
        with forwarded(joe, 8080) as web:
            until(lambda: joe.run(f"curl -sf http://localhost:{web}/").returncode == 0, "jupyter answers")
        joe("eai job kill --last")
        joe.ended(job)
        until(
            lambda: joe.run(f"ssh {joe.ssh} -p {port} toolkit@localhost true").returncode != 0, "the way in has ended"
        )


def test_how_to_run_pycharm(joe: Shell) -> None:
    (joe.home / "remote-env.yml").write_text(
        with_image(joe, REMOTE_ENV, "registry.console.elementai.com/org.acme/python_env")
    )
    (joe.home / "hello-world.py").write_text(HELLO_WORLD)
    mounts = "-d acme.joe.tk:/tk:ro -d acme.joe.home:/home/toolkit"
    joe(f"eai job submit -f remote-env.yml --cpu 0.5 --mem 0.25 {mounts}")
    job = joe.running()
    assert "rror" not in joe("eai job logs").replace("errors", "")
    project = "/tmp/pycharm_project_480"
    with forwarded(joe, 2222) as port:
        there = f"ssh {joe.ssh} -p {port} toolkit@localhost"
        wait_sshd(joe, port)
        joe(f"{there} 'mkdir {project} && cat > {project}/hello-world.py' < hello-world.py")
        joe(f"{there} 'cat > {project}/torch.py' < tk/torch.py")
        said = joe(f"{there} 'cd {project} && /opt/dais/bin/python3 -u {project}/hello-world.py'")
    assert said.splitlines() == [
        "Working dir:  /tmp/pycharm_project_480",
        "Torch random torch.Size([1, 3, 3])",
        "Torch lib location /tmp/pycharm_project_480/torch.py",
    ]
    joe(f"eai job kill {job}")


def test_how_to_run_a_python_server_in_toolkit(joe: Shell) -> None:
    joe("eai job submit --restartable --bid 9999 -- python3 -m http.server --bind 127.0.0.1 8080")
    job = joe.running()
    joe("eai role new acme.joe.job_access")
    joe(f'eai role policy new acme.joe.job_access "job:get@"$(eai job get --field urn {job})')
    key = joe("eai role key new acme.joe.job_access --field secret").strip()
    url = joe(f"eai job info {job} --field accessUrl").strip()
    call = f"curl -s -o /dev/null -w '%{{http_code}}' -H 'Authorization: Bearer {key}' {url}"
    until(lambda: joe(call) == "200", "the server answers with the key")
    assert joe(call.replace(key, "dais_role_nobodys")) in ("401", "403", "404")
    joe(f"eai job kill {job}")


def test_how_to_manage_access(joe: Shell, shared: Installation, homes: Path) -> None:
    organization, user = joe("eai user get --field urn").strip().split(":user:")
    assert user == joe.id
    rules = joe.rows("eai rule ls")
    assert rules[0] == ["action", "expression"]
    assert ["user:get", f"{organization}:user:*"] in rules
    joe("eai user set --name joseph")
    assert joe("eai user set --name joe --field name") == "joe\n"
    assert joe.rows("eai organization get")[1][1] == "acme"
    assert "joe" in [row[1] for row in joe.rows("eai user ls")]
    assert joe.rows("eai team ls")[0][:2] == ["id", "name"]
    for line in ("eai organization role ls", "eai team role ls", "eai account role ls"):
        assert joe.rows(line)[0][:2] == ["id", "name"]
    roles = joe.rows("eai organization role ls --fields id,name")
    assert roles[0] == ["id", "name"]
    assert [row[1] for row in roles[1:]] == ["admin", "user"]
    admin = roles[1][0]
    guillaume = shell(shared, homes, "guillaume", administrator=True)
    assert joe.rows(f"eai organization role member ls {admin}") == [
        ["id", "name", "type"],
        [guillaume.id, "guillaume", "user"],
        [joe.id, "joe", "user"],
    ]
    removed = joe.rows(f"eai organization role member rm {admin} --user {guillaume.id}")
    assert removed == [["id", "name", "type"], [joe.id, "joe", "user"]]
    assert len(joe.rows(f"eai organization role member add {admin} --user {guillaume.id}")) == 3
    joe(f"eai user policy new {guillaume.id} '*@*'")
    joe("eai team new vision")
    joe("eai team policy new vision 'job:get@acme'")


def test_how_to_prevent_output_buffering(joe: Shell) -> None:
    joe("eai job submit -- stdbuf -oL 'echo' unbuffered")
    assert joe.ended() == "SUCCEEDED"
    assert joe("eai job logs") == "unbuffered\n"


def test_how_to_pull_certain_files(joe: Shell) -> None:
    joe("eai account new acme.account; mkdir -p data/remote; echo 1 > data/remote/a; echo 2 > data/b")
    joe("eai data new acme.account.data ./data")
    assert "eai data pull acme.account.data ./remote ." in joe("eai data pull --help")
    joe("mkdir here; cd here; eai data pull acme.account.data ./remote .")
    assert joe("cd here; find . -type f").splitlines() == ["./a"]


def test_how_to_redirect_stdout_and_stderr_to_a_file(joe: Shell) -> None:
    joe("eai data new logs")
    mount = "--data logs:/home/joe"
    lines = [
        "eai job submit -- bash -c '{COMMAND} > /home/{USERNAME}/${EAI_JOB_ID}.txt 2>&1'",
        "eai job submit -- bash -c '{COMMAND} >> /home/{USERNAME}/${EAI_JOB_ID}.txt 2>&1'",
        "eai job submit -- bash -c '{COMMAND} > /home/{USERNAME}/${EAI_JOB_ID}.${EAI_RUN_INDEX}.txt 2>&1'",
    ]
    for line, suffix in zip(lines, ("", "", ".0"), strict=True):
        line = line.replace("{COMMAND}", "ls /nowhere").replace("{USERNAME}", "joe")
        submitted = joe.rows(line.replace(" -- ", f" {mount} -- "))
        job = submitted[1][0]
        assert joe.ended(job) == "FAILED"
        joe(f"eai data pull logs {job}{suffix}.txt .")
        assert "/nowhere" in joe(f"cat {job}{suffix}.txt")
    joe(f"eai job retry {job}")
    joe.ended(job)
    joe(f"eai data pull logs {job}.1.txt .")


def test_how_to_run_a_shell_image(joe: Shell) -> None:
    joe("eai job submit -- bash -c 'while true; do sleep 60; done;'")
    job = joe.running()
    assert joe("eai job info --last --field accessUrl").startswith("http")
    assert joe("eai job exec --last -- bash", b"echo $EAI_JOB_ID; exit\n").strip() == job
    joe("eai job kill --last")


def test_how_to_run_visual_studio_code(joe: Shell) -> None:
    (joe.home / "settings").mkdir()
    server = joe.home / "settings" / "code-server"
    server.write_text(
        "#!/bin/sh\n"
        "echo 'info Server listening on http://0.0.0.0:8080'\n"
        "echo 'info - No authentication'\n"
        "echo 'info - Not serving HTTPS'\n"
        "exec python3 -m http.server --bind 0.0.0.0 8080\n"
    )
    server.chmod(0o755)
    joe("eai account new acme.job; mkdir sample; echo hi > sample/code; eai data new acme.job.sample ./sample")
    joe("eai data new vscode")
    joe("eai data push acme.joe.vscode ./settings")
    header, row = joe.rows(
        r"""eai job submit --image codercom/code-server:v2 \
--data acme.joe.vscode:/home/coder/.local/share/code-server \
--data acme.job.sample:/home/coder/project \
code-server -- --host 0.0.0.0 --auth none""".replace(
            "codercom/code-server:v2", "host -e PATH=/home/coder/.local/share/code-server:/opt/dais/bin:/usr/bin:/bin"
        )
    )
    assert header == ["id", "state", "name", "created", "command", "runs.exitCode"]
    assert row[1:3] == ["QUEUING", "-"]
    assert row[3].endswith("Z")
    assert " ".join(row[4:]) == "[code-server --host 0.0.0.0 --auth none] -"
    with joe.beside("eai job logs -f") as following:
        assert following.stdout is not None
        said = [following.stdout.readline() for _ in range(3)]
    assert said[0] == b"info Server listening on http://0.0.0.0:8080\n"
    joe(f"eai job kill {row[0]}")


def test_how_to_tell_who_has_specific_rights(joe: Shell, shared: Installation, homes: Path) -> None:
    data = joe("eai data get logs --field id").strip()
    line = f'eai rule who-is-allowed "data:set@$(eai data get {data} --field urn)"'
    assert "acme.joe" in [row[1] for row in joe.rows(line)]
    asked = f'eai rule allowed "data:set@$(eai data get {data} --field urn)"'
    assert joe(asked).startswith("yes")
    urn = joe(f"eai data get {data} --field urn").strip()
    assert joe(f'eai allowed "data:set@{urn}" --field allowed') == "true\n"
    assert "joe" in joe(f'eai who-is-allowed "data:set@{urn}" --field name')
    sam = shell(shared, homes, "sam")
    assert sam.run(f'eai rule allowed "data:set@{urn}"').returncode == 1


def test_tokens_and_profiles_are_told(joe: Shell, shared: Installation) -> None:
    missing = joe.refused("eai job get 0193a1b2-77c1-7d1e-9f00-3f1f2a5c8d10")
    assert "http: 404" in missing
    stale = joe.refused("eai job ls", EAI_TOKEN="dais_user_of_yesterday")
    assert "http: 401" in stale
    assert "EAI_TOKEN" in stale, "where the refused token came from"
    assert joe("eai login token").strip() == joe.token
    assert "no token was found" in joe.refused("eai login token", EAI_TOKEN="")
    assert "one address is enough" in joe.refused(f"eai login {joe.url} {joe.url}", 2), "what follows is an address"
    (joe.home / "config").mkdir(exist_ok=True)
    (joe.home / "config" / "profiles.toml").write_text(
        f'[default]\nurl = "{joe.url}"\ntoken = "{joe.token}"\n[admin]\nurl = "{joe.url}"\ntoken = "{shared.token}"\n'
    )
    (joe.home / "config" / "profiles.toml").chmod(0o600)
    name = "eai user get --field name"
    assert joe(name, EAI_TOKEN="").strip() == "joe"
    assert joe(name, EAI_TOKEN="", EAI_PROFILE="admin").strip() != "joe"
    assert joe("eai --profile admin user get --field name", EAI_TOKEN="").strip() != "joe"
    both = joe.run(name, EAI_PROFILE="admin")
    assert both.stdout.strip() == b"joe", "EAI_TOKEN wins"
    assert b"EAI_TOKEN" in both.stderr, "and says so"
