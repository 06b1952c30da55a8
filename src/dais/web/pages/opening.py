"""The way from here to a job's app, which lives at another origin: it is sent a ticket for this session."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from dais.compute import DEFAULT_TARGET, Place, get_job
from dais.web.frame import Frame
from dais.web.guard import visitor


async def by_label(request: Request, frame: Frame) -> Response:
    """`/open/<first label of an app's host>`: where apps send browsers that they do not know."""
    return await _open(request, frame, Place(label=request.path_params["label"]))


async def by_job(request: Request, frame: Frame) -> Response:
    """`/open/<job>/<target>`: a link to an app that is the same wherever the app's address is."""
    who = await visitor(request, frame.services)
    job = await frame.services.db.read(get_job, who.actor, request.path_params["ref"])
    return await _open(request, frame, Place(job_id=job.id, target=request.path_params["target"] or DEFAULT_TARGET))


async def _open(request: Request, frame: Frame, place: Place) -> Response:
    who = await visitor(request, frame.services)
    given = request.query_params
    state, after = given.get("state", ""), given.get("next", "/")
    address = await frame.services.doors.admit(who.actor, who.session.id, place, state, after)
    # A page and no redirect: whoever has just signed in comes from a form, and those may lead to no other origin.
    response = frame.page(request, "opening.html", who, to=address)
    response.headers["referrer-policy"] = "no-referrer"
    return response
