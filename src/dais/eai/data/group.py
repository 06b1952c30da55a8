"""The table of `eai data`."""

from __future__ import annotations

import click

from dais.cli.base import Entry, LazyGroup

COMMANDS: dict[str, Entry] = {
    "new": Entry("dais.eai.data.transfer:new", "Make data: empty, or with the content of a directory."),
    "push": Entry("dais.eai.data.transfer:push", "Send a directory's content, or a file, into data."),
    "pull": Entry("dais.eai.data.transfer:pull", "Fetch data, or a part of it."),
    "ls": Entry("dais.eai.data.show:ls", "List the data that you may use."),
    "get": Entry("dais.eai.data.show:get", "Show data."),
    "size": Entry("dais.eai.data.show:size", "Count the files and bytes of data."),
    "tree": Entry("dais.eai.data.show:tree", "Print what is in data as a tree."),
    "content": Entry("dais.eai.data.content:content", "List and remove what is in data."),
    "commit": Entry("dais.eai.data.versions:commit", "Make a version of data, which never changes."),
    "versions": Entry("dais.eai.data.versions:versions", "List the versions of data."),
    "branch": Entry("dais.eai.data.branch:branch", "Make, list and remove branches of data."),
    "rm": Entry("dais.eai.data.branch:rm", "Remove data with all that is in it."),
}


@click.group(cls=LazyGroup, entries=COMMANDS)
def data() -> None:
    """Make data, and move files into and out of it.

    Data is a directory tree that jobs mount: `eai job new -d acme.joe.home:/home/joe -- ls /home/joe`. It is named by
    its id, its full name (acme.joe.home), or its name in your account. NAME and NAME@latest are what is in it now,
    NAME@BRANCH is a branch of it, NAME@3 its third version.

    \b
    Examples:
      eai data new acme.joe.home ./home
      eai data push acme.joe.home ./more:more
      eai data branch add acme.joe.home@latest v1
      eai data content ls acme.joe.home
    """
