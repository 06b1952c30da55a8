"""The table of commands."""

from __future__ import annotations

import click

from dais.cli.base import Entry, Globals, Program, begin

COMMANDS: dict[str, Entry] = {
    "up": Entry("dais.cli.admin.up:up", "Start Dais on this machine."),
    "down": Entry("dais.cli.admin.down:down", "Stop Dais on this machine; jobs go on."),
    "status": Entry("dais.cli.admin.status:status", "Tell whether Dais runs on this machine, and where."),
    "doctor": Entry(
        "dais.cli.admin.doctor:doctor", "Tell what this machine can isolate and do, what follows, and how to mend it."
    ),
    "gc": Entry("dais.cli.admin.gc:gc", "Free stored contents that nothing needs."),
    "backup": Entry("dais.cli.admin.backup:backup", "Copy this installation into a directory, also while it runs."),
    "restore": Entry("dais.cli.admin.backup:restore", "Make an installation of a backup, in an empty data directory."),
    "admin": Entry("dais.cli.admin.group:admin", "Look after this installation."),
    "login": Entry("dais.cli.login:login", "Sign this machine in."),
    "logout": Entry(
        "dais.cli.login:logout", "Sign this machine out: the token ends at the server, and is forgotten here."
    ),
    "profile": Entry("dais.cli.profile:profile", "List the servers that this machine knows, and choose one."),
    "open": Entry("dais.cli.open:open_pages", "Open the web pages in the browser, signed in."),
    "run": Entry("dais.cli.run:run", "Run a command as a job with the files of this directory, and follow it."),
    "job": Entry("dais.cli.jobs.group:job", "Submit, watch and steer jobs."),
    "ssh": Entry(
        "dais.cli.ssh.connect:ssh", "Open a shell in a running job, or run a command there, with this machine's ssh."
    ),
    "ssh-config": Entry(
        "dais.cli.ssh.config:ssh_config",
        "Write hosts for your running jobs, or those that you name, into ~/.ssh/config: `ssh train.dais` works then.",
    ),
    "ssh-key": Entry(
        "dais.cli.ssh.keys:ssh_key",
        "Add, list and remove the public keys by which you reach your jobs through SSH.",
    ),
    "ssh-proxy": Entry(
        "dais.cli.ssh.connect:ssh_proxy",
        "Carry one SSH connection between stdin and stdout and the gateway, through the API.",
    ),
    "code": Entry("dais.cli.code:code", "Run code in a job, cell by cell, and see what it shows."),
    "template": Entry(
        "dais.cli.template:template",
        "Learn how long a job takes with what it is given, and run it with the best allocation.",
    ),
    "folder": Entry("dais.cli.folder:folder", "Make folders, and move files into and out of them."),
    "data": Entry("dais.cli.folder:folder", "The same as `dais folder`.", alias_of="folder"),
    "file": Entry("dais.cli.file:file", "Upload, download and list versioned files."),
    "fileset": Entry("dais.cli.fileset:fileset", "Make, list, compare and download file sets."),
    "trace": Entry("dais.cli.trace:trace", "Tell what led to a version of a file set or a file, and what came of it."),
    "meta": Entry(
        "dais.cli.meta:meta", "Tag files, file sets, folders, jobs, images and users, and give them key-values."
    ),
    "find": Entry(
        "dais.cli.meta:find",
        "Find files, file sets, folders, jobs, images or users by tags, key-values, and what they tell of themselves.",
    ),
    "reproduce": Entry(
        "dais.cli.jobs.reproduce:reproduce", "Run a job again exactly as it was, and compare what comes of it."
    ),
    "env": Entry("dais.cli.env:env", "List, show and remove cached Python environments."),
    "dotfile": Entry("dais.cli.dotfile:dotfile", "Keep small files in the home of your interactive jobs."),
    "secret": Entry("dais.cli.secret:secret", "Set and remove secrets that jobs are given."),
    "image": Entry("dais.cli.image:image", "List, fetch, build and share the images that jobs start from."),
    "registry": Entry(
        "dais.cli.registry:registry",
        "Name the registries of images, and who may use them (administrators).",
    ),
    "notify": Entry("dais.cli.notify:notify", "Tell people and programs when your jobs end."),
    "organization": Entry(
        "dais.cli.identity.organization:organization", "Make, list and change organizations, and who administers them."
    ),
    "account": Entry("dais.cli.identity.account:account", "Make, list and change accounts, and who works in them."),
    "user": Entry(
        "dais.cli.identity.user:user", "Make, list, change and disable users, their keys and their policies."
    ),
    "team": Entry(
        "dais.cli.identity.team:team",
        "Make, list and change teams: users, and other teams, who are allowed the same.",
    ),
    "role": Entry(
        "dais.cli.identity.role:role",
        "Make, list and change roles: policies for all who can assume them, and keys for programs.",
    ),
    "invitation": Entry(
        "dais.cli.identity.invitation:invitation", "Invite people by e-mail, list and take back invitations."
    ),
    "policy": Entry("dais.cli.identity.rule:policy", "Tell what a policy would change, before it is made."),
    "rule": Entry("dais.cli.identity.rule:rule", "Tell what you may do, who may do something, and why."),
    "audit": Entry(
        "dais.cli.identity.audit:audit", "Tell who did, or was refused, what to which thing, and from where."
    ),
    "attach": Entry(
        "dais.cli.resource_group:attach",
        "Add a resource group: containers by Docker or Podman, or the machines of a Slurm cluster (administrators).",
    ),
    "detach": Entry(
        "dais.cli.resource_group:detach",
        "Forget resource groups (administrators); refused while a job of theirs has not ended.",
    ),
    "group": Entry(
        "dais.cli.resource_group:group",
        "List, show and change resource groups: pools of machines, each with its engine.",
    ),
    "node": Entry("dais.cli.node:node", "List the machines and what is free of them."),
    "me": Entry("dais.cli.me:me", "Tell who you are, and where you are connected."),
    "whoami": Entry("dais.cli.me:me", "The same as `dais me`.", alias_of="me"),
    "completion": Entry("dais.cli.completion:completion", "Print the shell's completion script."),
    "version": Entry("dais.cli.version:version", "Print the versions of this client and of its server."),
}
"""Every command with its one line of help, which a test compares with the command's own."""


@click.group("dais", cls=Program, entries=COMMANDS, invoke_without_command=True)
@click.option("--profile", metavar="NAME", help="Use this profile of the profile file (DAIS_PROFILE).")
@click.option("--account", metavar="ACCOUNT", help="Act in this account, as org.lab.project (DAIS_ACCOUNT).")
@click.option("--version", "show_version", is_flag=True, help="Print the version of this client.")
@click.pass_context
def cli(context: click.Context, profile: str | None, account: str | None, show_version: bool) -> None:
    """Dais runs your work on your machines: start it, submit jobs, follow them, fetch what they made.

    \b
    Examples:
      dais up --detach                 start it on this machine
      dais run -- python train.py      run this directory's program as a job
      dais job ls                      what is running?
      dais job logs -f --last          what does it say?
    """
    begin(context, Globals(profile=profile, account=account), show_version=show_version)
