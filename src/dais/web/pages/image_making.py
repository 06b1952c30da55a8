"""Making images: the form of a build, and of a commit of a running job."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dais.api import build_image, commit_job
from dais.compute import NewBuild, find_job, get_job
from dais.data import BlobStore, store_source
from dais.identity import Actor
from dais.kit.database import UnitOfWork
from dais.kit.errors import DaisError
from dais.web import view
from dais.web.frame import Frame, see_other
from dais.web.guard import Visitor, check_form_token, read_form, visitor
from dais.web.pages.images import Making, making, pairs, status_of
from dais.web.pages.log import ref_of
from dais.web.places import image_address
from dais.wire import answers
from dais.wire.transfers import SourceFile, SourceManifest

DOCKERFILE = "Dockerfile"


class Filled(msgspec.Struct, frozen=True, kw_only=True):
    """The form of a build, as it was filled in."""

    name: str = ""
    group: str = ""
    account: str | None = None
    dockerfile: str = "FROM python:3.12-slim\nRUN pip install --no-cache-dir numpy\n"
    arguments: str = ""
    labels: str = ""
    secrets: str = ""
    fresh: str = ""
    replace: str = ""

    @property
    def line(self) -> str:
        """The same from a terminal, with the Dockerfile and its files in a directory."""
        words = ["dais", "image", "build", self.name or "NAME", "."]
        words += ["--group", self.group] if self.group else []
        for option, text in (("--build-arg", self.arguments), ("--label", self.labels), ("--secret", self.secrets)):
            for one in text.splitlines():
                words += [option, one.strip()] if one.strip() else []
        words += ["--no-cache"] if self.fresh else []
        words += ["--replace"] if self.replace else []
        words += ["--installation"] if self.account == "" else []
        return shlex.join(words)

    def wanted(self, source: str) -> NewBuild:
        """What is asked for. Raises Invalid `bad-label`."""
        return NewBuild(
            name=self.name,
            source=source,
            group=self.group or None,
            account=self.account or None,
            installation=self.account == "",
            arguments=pairs(self.arguments, "a build argument"),
            labels=pairs(self.labels, "a label"),
            secrets=[line.strip() for line in self.secrets.splitlines() if line.strip()],
            cache=not self.fresh,
            replace=bool(self.replace),
        )


async def ask_build(request: Request, frame: Frame) -> Response:
    who = await visitor(request, frame.services)
    return await _build_form(request, frame, who, Filled(group=request.query_params.get("group", "")))


async def build(request: Request, frame: Frame) -> Response:
    """Begin to build from what was typed, and show how it goes."""
    form = await read_form(request)
    who = await visitor(request, frame.services)
    check_form_token(who, form)
    given = {name: form[name] for name in Filled.__struct_fields__ if name in form}
    filled = Filled(**{name: value if name == "dockerfile" else value.strip() for name, value in given.items()})
    try:
        text = filled.dockerfile.replace("\r\n", "\n").encode()
        source = await asyncio.to_thread(_stored, frame.services.blobs, text)
        image = await build_image(frame.services, who.actor, filled.wanted(source))
    except DaisError as error:
        return await _build_form(request, frame, who, filled, error)
    return see_other(image_address(image))


async def ask_commit(request: Request, frame: Frame) -> Response:
    who = await visitor(request, frame.services)
    return await _commit_form(request, frame, who, {})


async def commit(request: Request, frame: Frame) -> Response:
    """Begin to make an image of what a running job has written, and show it."""
    form = await read_form(request)
    who = await visitor(request, frame.services)
    check_form_token(who, form)
    ref, account = ref_of(request)
    try:
        labels = pairs(form.get("labels", ""), "a label")
        image = await commit_job(frame.services, who.actor, ref, form.get("name", "").strip(), labels, account)
    except DaisError as error:
        return await _commit_form(request, frame, who, form, error)
    return see_other(image_address(image))


def _stored(blobs: BlobStore, dockerfile: bytes) -> str:
    """A context of this one file."""
    file = SourceFile(path=DOCKERFILE, digest=blobs.put(dockerfile), size=len(dockerfile))
    return store_source(blobs, SourceManifest(files=[file])).digest


async def _build_form(
    request: Request, frame: Frame, who: Visitor, filled: Filled, wrong: DaisError | None = None
) -> Response:
    made: Making = await frame.services.db.read(making, who.actor)
    at = {"bad-name": "name", "already-exists": "name", "build-failed": "dockerfile", "which-group": "group"}
    at |= {"image-not-ready": "name", "no-such-secret": "secrets", "bad-label": "labels"}
    field = at.get(wrong.code, "form") if wrong is not None else ""
    return frame.page(
        request,
        "image_build.html",
        who,
        making=made,
        filled=filled,
        wrong={field: wrong.message} if wrong is not None else {},
        status=status_of(wrong),
    )


async def _commit_form(
    request: Request, frame: Frame, who: Visitor, form: Mapping[str, str], wrong: DaisError | None = None
) -> Response:
    ref, account = ref_of(request)
    job: answers.JobDetail = await frame.services.db.read(_running, who.actor, ref, account)
    field = "name" if wrong is not None and wrong.code in ("bad-name", "already-exists") else "form"
    return frame.page(
        request,
        "commit.html",
        who,
        account=job.account,
        job=job,
        name=form.get("name") or f"{view.name_of(job).replace(' ', '-')}-image",
        labels=form.get("labels", ""),
        wrong={field: wrong.message} if wrong is not None else {},
        status=status_of(wrong),
    )


def _running(uow: UnitOfWork, actor: Actor, ref: str, account: str | None) -> answers.JobDetail:
    return get_job(uow, actor, find_job(uow, actor, ref, account=account, action="job:exec").id)
