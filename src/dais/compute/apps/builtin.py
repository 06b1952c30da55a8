"""The apps that every job could have. Those that give a shell need no secret of their own where nobody else can reach
them: a job without the machine's network. In one that shares it, they are given one.
"""

from __future__ import annotations

from dais.compute.apps.definition import Definition, RunCommand, WriteTempfile
from dais.compute.apps.types import App

SHARED_FIRST, SHARED_LAST = 22_000, 22_999
"""Ports from which an app is given one where the network is the machine's, and others may have taken its own."""
RESERVED = range(2200, 2210)
"""Ports of the apps below, whichever of them are used: never plain ones."""

JUPYTER_CONFIG = (
    'c.ServerApp.ip = "127.0.0.1"\n',
    "c.ServerApp.port = {ports[0]}\n",
    "c.ServerApp.port_retries = 0\n",
    'c.ServerApp.base_url = "/"\n',
    'c.IdentityProvider.token = "{secret}"\n',
    'c.PasswordIdentityProvider.hashed_password = ""\n',
    "c.ServerApp.allow_remote_access = True\n",
    "c.ServerApp.allow_root = True\n",
    "c.ServerApp.open_browser = False\n",
    "c.ServerApp.root_dir = {home!r}\n",
    "c.ServerApp.quit_button = False\n",
    "c.FileContentsManager.delete_to_trash = False\n",
    'c.LabApp.extension_manager = "readonly"\n',
    "c.LabApp.news_url = None\n",
    'c.LabApp.check_for_updates_class = "jupyterlab.handlers.announcements.NeverCheckForUpdate"\n',
)

JUPYTER = Definition(
    prestart=(WriteTempfile(body=JUPYTER_CONFIG, mode="600", ref="config"),),
    command=("{runtime_path}", "-m", "jupyterlab", "--config", "{config}"),
    # Its state is the job's, but no file of the working directory.
    env={"JUPYTER_RUNTIME_DIR": "{directory}/runtime", "JUPYTER_DATA_DIR": "{directory}/data"},
    url_template="{protocol}://{host}:{port}/lab",
    hint="jupyter needs jupyterlab beside the job's own Python: add jupyterlab to its requirements.txt, or use an "
    "image that has it",
    exposed=False,
    secret_query="?token={secret}",  # noqa: S106 (a place for one)
)

TENSORBOARD = Definition(
    command=(
        *("{runtime_path}", "-m", "tensorboard.main", "--host", "127.0.0.1", "--port", "{ports[0]}"),
        *("--logdir", "{environ[TENSORBOARD_LOGDIR]}"),
    ),
    hint="tensorboard needs the package of that name beside the job's own Python: add it to its requirements.txt; what "
    "it shows is below $TENSORBOARD_LOGDIR, by default the working directory",
    exposed=False,
)

VSCODE = Definition(
    command=(
        *("code-server", "--bind-addr", "127.0.0.1:{ports[0]}", "--auth", "none"),
        *("--disable-telemetry", "--disable-update-check", "--disable-workspace-trust", "{home}"),
    ),
    needs="code-server",
    hint="vscode needs code-server: use an image that has it",
)

SSHD_CONFIG = (
    "ListenAddress 127.0.0.1:{ports[0]}\n",
    "HostKey {directory}/host_key\n",
    "PidFile none\n",
    "UsePAM no\n",
    "PasswordAuthentication no\n",
    "KbdInteractiveAuthentication no\n",
    "StrictModes no\n",
    "AuthorizedKeysFile {home}/.ssh/authorized_keys\n",
    "Subsystem sftp internal-sftp\n",
)

SSHD = Definition(
    prestart=(
        RunCommand(
            command=(
                *("sh", "-c", 'test -s "$1" || ssh-keygen -q -t ed25519 -N "" -f "$1"', "sh", "{directory}/host_key"),
            )
        ),
        WriteTempfile(body=SSHD_CONFIG, mode="600", ref="config"),
    ),
    command=("{programs[sshd]}", "-D", "-e", "-f", "{config}"),
    needs="sshd",
    hint="sshd needs OpenSSH's server in the image",
    exposed=False,
)

BUILT_IN = (
    App(name="jupyter", ports=(2201,), starts=True, origin="dais", definition=JUPYTER, title="JupyterLab"),
    App(name="vscode", ports=(2202,), starts=True, origin="dais", definition=VSCODE, title="VS Code in the browser"),
    App(name="tensorboard", ports=(2203,), starts=True, origin="dais", definition=TENSORBOARD, title="TensorBoard"),
    App(
        name="sshd",
        ports=(2200,),
        starts=True,
        protocol="tcp",
        origin="dais",
        definition=SSHD,
        title="SSH server of the image",
    ),
    App(name="terminal", ports=(), protocol="page", origin="dais", title="Terminal in the browser"),
)

ALIASES = {"jupyterlab": "jupyter", "code": "vscode", "code-server": "vscode", "ttyd": "terminal"}
"""Names by which other systems know them."""
