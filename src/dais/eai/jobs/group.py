"""The table of `eai job`."""

from __future__ import annotations

import click

from dais.cli.base import Entry, LazyGroup

COMMANDS: dict[str, Entry] = {
    "new": Entry("dais.eai.jobs.submit:submit", "Put a job into the queue."),
    "submit": Entry("dais.eai.jobs.submit:submit", "The same as `eai job new`.", alias_of="new"),
    "ls": Entry("dais.eai.jobs.show:ls", "List jobs: yours of the last 24 hours, unless you ask for others."),
    "get": Entry("dais.eai.jobs.show:get", "Print a job as one row, or fields of it."),
    "info": Entry("dais.eai.jobs.show:info", "Print all that is known of a job, as YAML."),
    "logs": Entry("dais.eai.jobs.logs:logs", "Print what a job printed."),
    "log": Entry("dais.eai.jobs.logs:logs", "The same as `eai job logs`.", alias_of="logs"),
    "exec": Entry("dais.eai.jobs.inside:execute", "Run a command inside a running job."),
    "port-forward": Entry(
        "dais.eai.jobs.inside:port_forward", "Reach TCP ports of a running job through ports of this machine."
    ),
    "kill": Entry("dais.eai.jobs.steer:kill", "End jobs."),
    "retry": Entry("dais.eai.jobs.steer:retry", "Run finished jobs again, as their next runs."),
    "set": Entry("dais.eai.jobs.steer:set_", "Change a job's name, tags or bid."),
}


@click.group(cls=LazyGroup, entries=COMMANDS)
def job() -> None:
    """Submit, watch and steer jobs.

    A job is named by its id, its name (of the job that is alive, else the newest), or --last.

    \b
    Examples:
      eai job new -i python:3.12 --cpu 4 --mem 16 -d acme.joe.home:/home/joe -- python train.py
      eai job ls --state alive
      eai job logs -f --last
    """
