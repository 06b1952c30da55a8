"""What the command palette offers: pages, accounts, jobs and folders to go to, and what can be done here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dais.compute import JobFilter, get_job, list_jobs
from dais.data import list_folders
from dais.identity import Actor
from dais.kit.database import UnitOfWork
from dais.kit.errors import Forbidden, NotFound
from dais.web import view
from dais.web.frame import Frame, answer_json
from dais.web.guard import visitor
from dais.wire import answers

T = TypeVar("T")

MOST = 12
"""Entries that are shown at once."""
EACH = 6
"""Jobs, and folders, among them."""
MAX_TEXT = 200

_job_page = re.compile(r"/[^/]+/[^/]+/jobs/(?P<ref>[^/]+)")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """Something to go to, or (with `post`) to do."""

    words: str
    hint: str
    address: str
    post: bool = False
    fields: dict[str, str] = {}


async def entries(request: Request, frame: Frame) -> Response:
    """`q` is what was typed, `here` the page's path."""
    who = await visitor(request, frame.services)
    text = request.query_params.get("q", "")[:MAX_TEXT].strip()
    here = request.query_params.get("here", "/")[:MAX_TEXT]
    jobs, job, folders = await frame.services.db.read(_look, who.actor, text, here)
    known = [*_here(job), *_jobs(jobs), *_pages(frame, who.accounts), *_acts(here), *_folders(frame, folders)]
    found = [entry for entry in known if _fits(entry, text)]
    return answer_json({"entries": found[:MOST]})


def _look(
    uow: UnitOfWork, actor: Actor, text: str, here: str
) -> tuple[list[answers.Job], answers.Job | None, list[Any]]:
    """The jobs that the text may mean, the job of the page that asks, the actor's folders."""
    found: list[answers.Job] = []
    if len(text) != 1:
        found = _allowed(lambda: list_jobs(uow, actor, JobFilter(text=text or None), limit=EACH).items)
    if text and (exact := _job(uow, actor, text)) is not None:
        found = [exact, *(job for job in found if job.id != exact.id)]
    on_page = _job_page.match(here)
    folders = _allowed(lambda: list_folders(uow, actor, match=text.split()[0], limit=100).items) if text else []
    return found, _job(uow, actor, on_page["ref"]) if on_page else None, folders


def _allowed(read: Callable[[], list[T]]) -> list[T]:
    """What is read, and nothing where the actor may read nothing of the kind."""
    try:
        return read()
    except Forbidden:
        return []


def _job(uow: UnitOfWork, actor: Actor, ref: str) -> answers.Job | None:
    try:
        return get_job(uow, actor, ref)
    except NotFound:
        return None


def _fits(entry: Entry, text: str) -> bool:
    spoken = f"{entry.words} {entry.hint}".lower()
    return all(word in spoken for word in text.lower().split())


def _here(job: answers.Job | None) -> Iterator[Entry]:
    """What can be done with the job whose page is open."""
    if job is None:
        return
    name, address = view.name_of(job), view.address(job)
    if job.alive:
        yield Entry(words=f"Kill {name} …", hint="asks first", address=f"{address}/kill")
    else:
        yield Entry(words=f"Retry {name}", hint="runs it again", address=f"{address}/retry", post=True)
    yield Entry(words=f"Submit {name} again with changes", hint="a new job", address=f"/submit?from={job.id}")


def _jobs(jobs: list[answers.Job]) -> Iterator[Entry]:
    for job in jobs:
        mark = view.mark(job.state)
        hint = f"{mark.word} · job {job.number} {view.short(job.id)} {job.id} in {job.account}"
        yield Entry(words=f"{mark.shape} {view.name_of(job)}", hint=hint, address=view.address(job))


def _pages(frame: Frame, accounts: tuple[str, ...]) -> Iterator[Entry]:
    for _, word, address in frame.sections(None):
        yield Entry(words=word, hint="page", address=address)
    if frame.knows("/submit"):
        yield Entry(words="Submit a job", hint="form", address="/submit")
    if frame.knows("/folders/new"):
        yield Entry(words="New folder", hint="form", address="/folders/new")
    for account in accounts:
        yield Entry(words=f"Jobs of {account}", hint="account", address=f"{view.place(account)}/jobs")


def _acts(here: str) -> Iterator[Entry]:
    for theme, words in (("light", "Light"), ("dark", "Dark"), ("system", "System")):
        yield Entry(
            words=f"{words} colours", hint="theme", address="/theme", post=True, fields={"theme": theme, "back": here}
        )
    yield Entry(words="Sign out", hint="of this browser", address="/sign-out", post=True)


def _folders(frame: Frame, folders: list[Any]) -> Iterator[Entry]:
    if frame.knows("/folders"):
        for folder in folders[:EACH]:
            yield Entry(words=folder.name, hint=f"folder of {folder.account}", address=f"/folders/{folder.id}")
