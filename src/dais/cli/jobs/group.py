"""The table of `dais job`."""

from __future__ import annotations

import click

from dais.cli.base import Entry, LazyGroup

COMMANDS: dict[str, Entry] = {
    "submit": Entry("dais.cli.jobs.submit:submit", "Put a job into the queue."),
    "new": Entry("dais.cli.jobs.submit:submit", "The same as `dais job submit`.", alias_of="submit"),
    "ls": Entry("dais.cli.jobs.show:ls", "List jobs: yours of the last 24 hours, unless you ask for others."),
    "get": Entry("dais.cli.jobs.show:get", "Print a job as one row, or fields of it."),
    "info": Entry("dais.cli.jobs.show:info", "Print all that is known of a job: spec, runs, history."),
    "logs": Entry("dais.cli.jobs.logs:logs", "Print what a job printed."),
    "log": Entry("dais.cli.jobs.logs:logs", "The same as `dais job logs`.", alias_of="logs"),
    "metrics": Entry(
        "dais.cli.jobs.metrics:metrics", "Print the metrics that a job has reported, while it runs or later."
    ),
    "wait": Entry("dais.cli.jobs.steer:wait", "Wait until jobs have ended; exit as the last of them that failed."),
    "exec": Entry("dais.cli.jobs.execute:execute", "Run a command inside a running job."),
    "address": Entry(
        "dais.cli.jobs.doors:address", "Print the address at which a port or an app of a running job is reached."
    ),
    "expose": Entry(
        "dais.cli.jobs.doors:expose", "Open a port of a job to everybody, without any token, or close it again."
    ),
    "port-forward": Entry(
        "dais.cli.jobs.port_forward:port_forward", "Reach TCP ports of a running job through ports of this machine."
    ),
    "apps": Entry("dais.cli.jobs.apps:apps", "List the apps of a running job."),
    "open": Entry("dais.cli.jobs.apps:open_app", "Start an app of a running job, and open it in the browser."),
    "cp": Entry("dais.cli.jobs.copy:cp", "Copy files into or out of a running job."),
    "partial": Entry(
        "dais.cli.jobs.partial:partial",
        "Download what a job that did not succeed had written below its output, as a zip archive.",
    ),
    "kill": Entry("dais.cli.jobs.steer:kill", "End jobs."),
    "retry": Entry("dais.cli.jobs.steer:retry", "Run finished jobs again, as their next runs."),
    "set": Entry("dais.cli.jobs.steer:set_", "Change a job's name, tags or bid."),
    "rm": Entry("dais.cli.jobs.steer:rm", "Forget jobs that have ended, with their logs."),
}


@click.group(cls=LazyGroup, entries=COMMANDS)
def job() -> None:
    """Submit, watch and steer jobs.

    A job is named by its id or the last eight digits of it, its number, its name, or `last` (your newest; also
    --last).

    \b
    Examples:
      dais job submit --cpu 2 --mem 4 -- python train.py
      dais job ls --state alive
      dais job logs -f --last
    """
