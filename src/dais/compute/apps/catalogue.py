"""Which apps a job has, and what reaching each needs: from its specification and its image's labels, without a look."""

from __future__ import annotations

from dais.compute.apps.builtin import ALIASES, BUILT_IN, RESERVED
from dais.compute.apps.types import ActionNeeded, App
from dais.compute.images.types import ServicePort
from dais.compute.jobs.types import Work
from dais.kit.errors import Invalid, NotFound
from dais.wire.problems import nearest

_built_in = {app.name: app for app in BUILT_IN}


def known_apps(work: Work, *, shared: bool) -> dict[str, App]:
    """The apps by their names: the job's own ports, what its image's labels name, and what is built in.

    A name that comes again is the first one's. Where the job itself names a port Dais starts nothing.
    """
    labelled = {service.name: _of_label(service) for service in (work.pin.services if work.pin else ())}
    started = {**_built_in, **labelled}
    found: dict[str, App] = {}
    for port in work.spec.ports:
        # Whoever takes the name of an app that gives a shell is believed.
        needs = started[port.name].action if port.name in started else port_action(work, port.port, shared=shared)
        found[port.name] = App(name=port.name, ports=(port.port,), protocol=port.protocol, action=needs)
    return {**found, **{name: app for name, app in started.items() if name not in found}}


def find_app(work: Work, name: str, *, shared: bool) -> App:
    """An app by its name, or any port by its number. Raises NotFound `no-such-app`, Invalid `bad-port`."""
    known = known_apps(work, shared=shared)
    if name.isascii() and name.isdigit():
        port = int(name[:9])
        if not 1 <= port <= 65_535:
            raise Invalid(f"{name[:20]} is not a port from 1 to 65535", code="bad-port")
        for app in known.values():
            if app.ports == (port,) and not app.starts:
                return app
        return App(name=str(port), ports=(port,), action=port_action(work, port, shared=shared))
    found = known.get(name) or known.get(ALIASES.get(name, ""))
    if found is None:
        near = nearest(name[:64], known)
        hint = f"did you mean {near!r}?" if near else f"there are {', '.join(known)}, and any port by its number"
        raise NotFound(f"job {work.job_id} has no app {name[:64]!r}; {hint}", code="no-such-app", app=name[:64])
    return found


def port_action(work: Work, port: int, *, shared: bool) -> ActionNeeded:
    """What reaching a port needs: `job:get`, but `job:exec` where an app may be that lets whoever comes run commands.

    Where the network is not the job's own (`shared`), only the ports that it names are plain:
    the others may be anybody's.
    """
    named = any(port == one.port and one.name not in _built_in for one in work.spec.ports)
    if shared and not named:
        return "job:exec"
    if port in RESERVED:
        return "job:exec"
    services = work.pin.services if work.pin else ()
    labelled = any(port in one.ports for one in services if one.protocol != "preopen")
    own = any(port == one.port and one.name in _built_in for one in work.spec.ports)
    return "job:exec" if labelled or own else "job:get"


def _of_label(service: ServicePort) -> App:
    own = _built_in.get(service.name) or _built_in.get(ALIASES.get(service.name, ""))
    return App(
        name=service.name,
        ports=service.ports,
        protocol="tcp" if service.protocol in ("tcp", "pty") else "http",
        action="job:get" if service.protocol == "preopen" else "job:exec",
        origin="image",
        starts=service.protocol != "preopen",
        definition=own.definition if own is not None else None,
        title=own.title if own is not None else "",
    )
