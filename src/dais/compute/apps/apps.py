"""The apps of running jobs: which there are, starting one on first use, and what it said."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from dais.compute.apps.builtin import SHARED_FIRST, SHARED_LAST
from dais.compute.apps.catalogue import find_app, known_apps, port_action
from dais.compute.apps.definition import Definition, read_definition, url_path
from dais.compute.apps.inside import ask
from dais.compute.apps.types import ActionNeeded, Answer, App, AppState, OpenedApp, Seen, Started
from dais.compute.jobs.types import Work
from dais.compute.launch import is_contained
from dais.kit.errors import Conflict, DaisError, Unavailable

if TYPE_CHECKING:
    from dais.compute.runtime import Compute

DEFINITIONS = "/etc/backend.ai/service-defs"
"""Where an image says how its services are started."""
PROGRAMS = ("code-server", "sshd")
"""What built-in apps need of an image."""
MAX_RUNS = 4096
"""Running jobs of which it is remembered what was found in them; in the others it is looked again."""
MOST_STARTS = 64
"""Apps that are started at the same time; whoever asks for more is asked to come back."""
LOOK_SECONDS = 30.0
PORT_SECONDS = 5.0
"""How long it is tried whether something listens."""


class _Run:
    """What is known of a run: what is in it, and what was opened there."""

    def __init__(self) -> None:
        self.seen: Seen | None = None
        self.opened: dict[str, OpenedApp] = {}


class Apps:
    """Answers for every running job. None of it need survive this process: an app that was started says so itself,
    inside its job."""

    def __init__(self, compute: Compute) -> None:
        self._compute = compute
        self._runs: OrderedDict[str, _Run] = OrderedDict()
        self._starts: dict[tuple[str, str], asyncio.Task[OpenedApp]] = {}

    # -- which there are ---------------------------------------------------------------------------------------

    def known(self, work: Work) -> tuple[App, ...]:
        """The apps of a job, its own ports first; nothing is asked of the job."""
        return tuple(known_apps(work, shared=self._shared(work)).values())

    def find(self, work: Work, name: str) -> App:
        """An app by its name, or any port by its number. Raises NotFound `no-such-app`, Invalid `bad-port`."""
        return find_app(work, name, shared=self._shared(work))

    def port_action(self, work: Work, port: int) -> ActionNeeded:
        """What reaching a port of the job needs, whatever is there."""
        return port_action(work, port, shared=self._shared(work))

    async def states(self, work: Work, also: Sequence[int] = ()) -> list[AppState]:
        """Every known app as it is now, and other ports. Raises Conflict `not-running`."""
        problem, seen = "", Seen()
        try:
            seen = await self._look(work)
        except DaisError as error:
            if error.code == "not-running":
                raise
            problem = error.message
        apps = self._listed(work, also)
        return list(await asyncio.gather(*(self._state(work, app, seen, problem) for app in apps)))

    def unasked(self, work: Work, also: Sequence[int] = ()) -> list[AppState]:
        """The same without asking the job: the state of what is in it is `unknown`."""
        return [
            AppState(
                app=app,
                state="running" if app.protocol == "page" else "unknown",
                path=_path_of(app.definition) if app.starts else _plain_path(work, app),
            )
            for app in self._listed(work, also)
        ]

    async def path(self, work: Work, app: App) -> str:
        """What to open at an app's address, as in `OpenedApp`, whether or not it runs.

        An image's own definition says it; where nobody can look for one, the built-in one. Raises Conflict
        `not-running`, Invalid `bad-app-definition`.
        """
        if not app.starts:
            return _plain_path(work, app)
        seen = self._run(work).seen
        try:
            seen = seen or await self._look(work)
        except Unavailable:
            return _path_of(app.definition)
        return _path_of(self._definition(work, app, seen))

    async def log(self, work: Work, name: str) -> str:
        """The last 64 KiB of what an app has printed since it was started; "" for what Dais has not started."""
        app = self.find(work, name)
        if not app.starts:
            return ""
        answer = await self._ask(work, {"do": "log", "name": app.name}, dict[str, Any], LOOK_SECONDS)
        return str(answer.get("output", ""))

    # -- opening -----------------------------------------------------------------------------------------------

    async def open(self, work: Work, name: str, *, check: bool = True) -> OpenedApp:
        """Where an app is, once it answers there: it is started unless it runs, and whoever asks second waits as well.

        Without `check`, what was opened before is taken to be there still. A plain port is never asked. Whoever asks
        must be allowed the `action` of `find`. Raises NotFound `no-such-app`, Invalid `bad-port`,
        `bad-app-definition`, Conflict `not-running`, and Unavailable `app-failed` (with the end of what the app printed
        in `output`), `app-exposed`, `no-exec`, `no-dial`, `no-python`.
        """
        app = self.find(work, name)
        if not app.starts:
            path = _plain_path(work, app)
            return OpenedApp(name=app.name, port=app.port, protocol=app.protocol, path=path, action=app.action)
        run = self._run(work)
        before = run.opened.get(app.name)
        if before is not None and (not check or await self._listens(work, before.port or 0)):
            return before
        key = (work.run_id, app.name)
        start = self._starts.get(key)
        if start is None:
            if len(self._starts) >= MOST_STARTS:
                raise Unavailable(f"{MOST_STARTS} apps are being started now; try again in a moment", code="busy")
            start = asyncio.create_task(self._start(work, app), name=f"start of {app.name} in {work.job_id}")
            self._starts[key] = start
            start.add_done_callback(lambda task: self._started(key, task))
        return await asyncio.shield(start)

    def runs(self) -> set[str]:
        """Those of which something is known."""
        return set(self._runs)

    def forget(self, run_id: str) -> None:
        """The run has ended."""
        self._runs.pop(run_id, None)

    def _started(self, key: tuple[str, str], task: asyncio.Task[OpenedApp]) -> None:
        self._starts.pop(key, None)
        if not task.cancelled():
            task.exception()  # told to whoever waited; nobody may be there any more

    async def _start(self, work: Work, app: App) -> OpenedApp:
        shared = self._shared(work)
        run = self._run(work)
        if run.seen is None:
            await self._look(work)
        assert run.seen is not None
        definition = self._definition(work, app, run.seen)
        if definition is None:
            if not shared and await self._listens(work, app.ports[0]):
                return OpenedApp(name=app.name, port=app.ports[0], protocol=app.protocol, action=app.action)
            raise self._failed(
                work, app, f"its image has no {DEFINITIONS}/{app.name}.json, and nothing listens on port {app.ports[0]}"
            )
        if definition.needs is not None and definition.needs not in run.seen.programs:
            raise self._failed(work, app, definition.hint)
        if shared and definition.exposed:
            raise Unavailable(
                f"app {app.name} is not started in job {work.job_id}: it shares its machine's network, where everybody "
                "on the machine could use the app; submit the job with --network none or internet",
                code="app-exposed",
            )
        limit = self._compute.settings.app_start
        request = self._request(work, app, definition, run.seen)
        answer: Answer = await self._ask(work, request, Answer, limit + LOOK_SECONDS)
        if not answer.problem and not (answer.ports and 0 < answer.ports[0] < 65_536):
            answer = Answer(problem="failed", message="the job did not say on which port")
        if answer.problem:
            raise self._failed(work, app, _words(answer, definition, limit), answer.output)
        path = _path_of(definition)
        if answer.secret:
            path += definition.secret_query.replace("{secret}", answer.secret)
        port = answer.ports[0]
        opened = OpenedApp(name=app.name, port=port, protocol=app.protocol, path=path, action=app.action)
        if not await self._listens(work, port):
            raise self._failed(work, app, f"nothing listens on port {port} of 127.0.0.1 any more", answer.output)
        run.opened[app.name] = opened
        return opened

    def _definition(self, work: Work, app: App, seen: Seen) -> Definition | None:
        """The image's own, else the built-in one. Raises Invalid `bad-app-definition`."""
        text = seen.definitions.get(app.name)
        return read_definition(text, app.name) if text is not None else app.definition

    def _request(self, work: Work, app: App, definition: Definition, seen: Seen) -> dict[str, Any]:
        shared = self._shared(work)
        return {
            "do": "start",
            "name": app.name,
            "definition": {
                "prestart": definition.prestart,
                "command": definition.command,
                "env": definition.env,
            },
            "ports": app.ports,
            "shared": [SHARED_FIRST, SHARED_LAST + 1] if shared else None,
            "secret": secrets.token_hex(24) if shared and definition.secret_query else "",
            "runtime_path": (None if work.environment_id else work.python) or "python3",
            "programs": seen.programs,
            "seconds": self._compute.settings.app_start,
        }

    # -- looking -----------------------------------------------------------------------------------------------

    async def _look(self, work: Work) -> Seen:
        started = [app.name for app in self.known(work) if app.starts]
        request = {"do": "look", "apps": started, "programs": PROGRAMS, "definitions": DEFINITIONS}
        seen: Seen = await self._ask(work, request, Seen, LOOK_SECONDS)
        self._run(work).seen = seen
        return seen

    async def _state(self, work: Work, app: App, seen: Seen, problem: str) -> AppState:
        if app.protocol == "page":
            return AppState(app=app, state="running", path=_plain_path(work, app))
        started = seen.apps.get(app.name, Started())
        port = started.ports[0] if started.ports else app.ports[0]
        try:
            definition = self._definition(work, app, seen) if app.starts else None
            wrong = ""
        except DaisError as error:
            definition, wrong = None, error.message
        now = AppState(app=app, state="unknown", path=_path_of(definition))
        try:
            async with asyncio.timeout(PORT_SECONDS):
                if (not app.starts or started.running or not self._shared(work)) and await self._listens(work, port):
                    return replace(now, state="running")
        except (DaisError, TimeoutError) as error:
            return replace(now, detail=getattr(error, "message", "it does not answer"))
        if not app.starts:
            return replace(now, state="silent", detail=f"nothing listens on port {port} of 127.0.0.1 (yet)")
        if problem:
            return replace(now, detail=problem)
        if started.ports and not started.running:
            return replace(now, state="ended", exit_code=started.exit_code, detail=_end(started.exit_code))
        if wrong:
            return replace(now, state="missing", detail=wrong)
        if definition is None:
            return replace(now, state="missing", detail=f"its image has no {DEFINITIONS}/{app.name}.json")
        if definition.needs is not None and definition.needs not in seen.programs:
            return replace(now, state="missing", detail=definition.hint)
        return replace(now, state="ready", detail="it was started and does not answer yet" if started.ports else "")

    async def _listens(self, work: Work, port: int) -> bool:
        try:
            stream = await self._compute.dial(work, port)
        except Conflict as error:
            if error.code == "nothing-listens":
                return False
            raise
        await stream.close()
        return True

    async def _ask(self, work: Work, request: dict[str, Any], kind: type[Any], seconds: float) -> Any:
        group, _ = self._compute.running(work)
        home = str(group.run_directory(work.run_id) / "work")
        directory = "/tmp/.dais-apps" if is_contained(group.host) else f"{home}/.dais-apps"  # noqa: S108
        return await ask(self._compute, work, {**request, "directory": directory}, kind, seconds)

    def _listed(self, work: Work, also: Sequence[int]) -> list[App]:
        """The known apps, and ports that are none of them."""
        known = self.known(work)
        named = {app.port for app in known if not app.starts}
        return [*known, *(self.find(work, str(port)) for port in also if port not in named)]

    def _shared(self, work: Work) -> bool:
        """Whether the job's network is its machine's, so that others may reach its ports, and it theirs."""
        group = self._compute.groups.get(work.group)
        return work.spec.network == "host" or (group is not None and not is_contained(group.host))

    def _run(self, work: Work) -> _Run:
        run = self._runs.setdefault(work.run_id, _Run())
        self._runs.move_to_end(work.run_id)
        while len(self._runs) > MAX_RUNS:
            self._runs.popitem(last=False)
        return run

    def _failed(self, work: Work, app: App, why: str, output: str = "") -> Unavailable:
        return Unavailable(
            f"app {app.name} of job {work.job_id} cannot be started: {why}",
            code="app-failed",
            output=output,
            app=app.name,
        )


def _path_of(definition: Definition | None) -> str:
    return url_path(definition.url_template if definition is not None else None)


def _plain_path(work: Work, app: App) -> str:
    """The path of what Dais does not start: a port of the job's own, or a page of Dais."""
    return f"/jobs/{work.job_id}?tab={app.name}" if app.protocol == "page" else "/"


def _words(answer: Answer, definition: Definition, seconds: float) -> str:
    """Why a start did not go well, with the end of what the app said."""
    last = [line.strip() for line in answer.output.splitlines() if line.strip()][-3:]
    said = f"; it said: {' / '.join(last)[:600]}" if last else "; it printed nothing"
    if answer.problem == "ended":
        return f"{_end(answer.exit_code)}{said}{'. ' + definition.hint if definition.hint else ''}"
    if answer.problem == "silent":
        return f"it runs, and has not answered on its port within {seconds:g} s; ask again to wait longer{said}"
    return answer.message + (said if last else "")


def _end(exit_code: int | None) -> str:
    return "it ended" if exit_code is None else f"it ended with exit code {exit_code}"
