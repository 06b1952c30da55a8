"""The image stores of Docker and Podman, and a real registry."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dais.engines.container.daemon import Client
from dais.engines.container.images import ContainerImages
from dais.engines.contract import BuildRequest, Credentials, ImageProblem, Progress
from tests.support.containers import Daemons, small_image
from tests.support.registries import PASSWORD, USER, publish_for, registry

BASE = "localhost/base:latest"
pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@dataclass
class Stores:
    kind: str
    url: str
    open_registry: str
    closed_registry: str


@pytest.fixture(scope="module", params=["docker", "podman"])
def places(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    directory = tmp_path_factory.mktemp("registries")
    with (
        registry(directory / "open") as open_,
        registry(directory / "closed", password=True) as closed,
        contextlib.closing(Daemons()) as daemons,
    ):
        daemon = daemons.make(request.param, insecure=[open_, closed, "127.0.0.1:1"])
        daemon.load_image(small_image(), BASE)
        yield Stores(request.param, f"unix://{daemon.socket}", open_, closed)


@pytest.fixture
async def docker(places: Stores) -> AsyncIterator[Client]:
    client = Client(url=places.url)
    async with client:
        yield client


@pytest.fixture
def store(docker: Client) -> ContainerImages:
    return ContainerImages(docker, build_network="none")


async def steps_of(stream: AsyncIterator[Progress]) -> list[Progress]:
    return [step async for step in stream]


async def problem_of(stream: AsyncIterator[Progress]) -> ImageProblem:
    with pytest.raises(ImageProblem) as raised:
        await steps_of(stream)
    return raised.value


async def test_an_image_goes_to_a_registry_and_comes_back(places: Stores, store: ContainerImages) -> None:
    reference = f"{places.open_registry}/tools/base:1"
    await store.tag(BASE, reference)
    await steps_of(store.push(reference))
    await store.remove_image(reference)
    await store.remove_image(reference)
    assert await store.image(reference) is None
    await steps_of(store.pull(reference))
    facts = await store.image(reference)
    assert facts is not None
    assert reference in facts.references
    assert facts.digest is not None
    assert (facts.system, facts.architecture) == ("linux", "amd64")
    assert facts.size > 100_000
    assert facts.created_at is not None
    assert facts.id in {one.id for one in await store.images()}
    again = await store.image(f"{places.open_registry}/tools/base@{facts.digest}")
    assert again is not None
    assert again.id == facts.id
    await steps_of(store.pull(f"{places.open_registry}/tools/base@{facts.digest}"))


async def test_the_bytes_of_a_pull_are_counted(places: Stores, store: ContainerImages, tmp_path: Path) -> None:
    if places.kind == "podman":
        pytest.skip("needs an API that tells bytes, and Podman's 4.3 does not")
    (tmp_path / "much").write_bytes(bytes(range(256)) * (1 << 14))
    (tmp_path / "Dockerfile").write_text(f"FROM {BASE}\nCOPY much /much\n")
    reference = f"{places.open_registry}/tools/much:1"
    await steps_of(store.build(BuildRequest(context=str(tmp_path), reference=reference, cache=False)))
    pushed = await steps_of(store.push(reference))
    facts = await store.image(reference)
    assert facts is not None
    await store.remove_image(reference)
    pulled = await steps_of(store.pull(reference))
    for steps in (pushed, pulled):
        counted = [step for step in steps if step.total]
        assert counted[-1].done == counted[-1].total
        assert all(step.done is not None and step.total is not None and step.done <= step.total for step in counted)


async def test_what_a_registry_refuses_has_a_code_and_a_remedy(places: Stores, store: ContainerImages) -> None:
    hidden = f"{places.closed_registry}/base:1"
    good = Credentials(registry=places.closed_registry, username=USER, password=PASSWORD)
    bad = Credentials(registry=places.closed_registry, username=USER, password="wrong")
    await store.tag(BASE, hidden)
    await steps_of(store.push(hidden, good))
    await store.remove_image(hidden)
    for credentials in (None, bad):
        problem = await problem_of(store.pull(hidden, credentials))
        assert problem.code == "bad-credentials"
        assert "dais registry set" in str(problem)
        assert "wrong" not in str(problem)
    assert "wrong" not in repr(bad)
    await steps_of(store.pull(hidden, good))
    assert (await problem_of(store.pull(f"{places.open_registry}/nothing:1"))).code == "image-not-found"
    assert (await problem_of(store.pull("127.0.0.1:1/nothing:1"))).code == "registry-unreachable"
    with pytest.raises(ValueError, match="is no tag"):
        await steps_of(store.pull("x:y:z"))


async def test_an_image_for_other_machines_is_refused(places: Stores, store: ContainerImages) -> None:
    own = f"{places.open_registry}/foreign:own"
    await store.tag(BASE, own)
    await steps_of(store.push(own))
    await asyncio.to_thread(publish_for, places.open_registry, "foreign", "own", "arm64")
    foreign = f"{places.open_registry}/foreign:arm64"
    problem = await problem_of(store.pull(foreign))
    assert problem.code == "wrong-architecture"
    assert "arm64" in str(problem)
    assert await store.image(foreign) is None


async def test_a_build_sees_its_context_and_tells_its_log(store: ContainerImages, tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_text("*\n!in\nin/not\n")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "file").write_text("content\n")
    (tmp_path / "in" / "not").write_text("x")
    (tmp_path / "out").write_text("x")
    (tmp_path / "in" / "link").symlink_to("/etc/hostname")
    (tmp_path / "ci").mkdir()
    (tmp_path / "ci" / "Dockerfile").write_text(
        f"FROM {BASE}\nARG WORD\nCOPY . /context\nRUN cat /context/in/file && ls /context /context/in && echo $WORD\n"
    )
    request = BuildRequest(
        context=str(tmp_path),
        reference="localhost/dais/built:latest",
        dockerfile="ci/Dockerfile",
        arguments={"WORD": "shown-word"},
        labels={"a.b": 'quoted " $HOME \\'},
        cache=False,
    )
    said = "\n".join(step.text for step in await steps_of(store.build(request)))
    lines = [line.strip() for line in said.splitlines()]
    assert "content" in lines
    assert "shown-word" in lines
    assert "link" in lines
    assert not {"out", "not"} & set(lines)
    facts = await store.image("localhost/dais/built:latest")
    assert facts is not None
    assert facts.labels["a.b"] == 'quoted " $HOME \\'
    assert facts.digest is None
    more = await store.relabel("localhost/dais/built:latest", "localhost/dais/more:latest", {"c.d": "e"})
    assert more.labels.items() >= {"c.d": "e", "a.b": 'quoted " $HOME \\'}.items()


@pytest.mark.parametrize(
    "text, line, words",
    [
        (f"# x\nFROM {BASE}\nRUN echo one \\\n  && sh -c 'exit 3'\n", 3, "exit 3"),
        (f"FROM {BASE}\n\nRUNN echo\n", 3, "RUNN"),
        (f"FROM {BASE}\nCOPY absent /x\n", 2, "absent"),
        (
            f"ARG A=latest\nFROM localhost/base:$A AS one\nRUN echo\nFROM {BASE}\nCOPY --from=one / /b\nRUN cat /no\n",
            6,
            "cat /no",
        ),
    ],
)
async def test_the_line_of_a_dockerfile_that_fails_is_told(
    store: ContainerImages, tmp_path: Path, text: str, line: int, words: str
) -> None:
    (tmp_path / "Dockerfile").write_text(text)
    request = BuildRequest(context=str(tmp_path), reference="localhost/dais/bad:latest")
    problem = await problem_of(store.build(request))
    assert (problem.code, problem.line) == ("build-failed", line)
    assert f"line {line}: " in str(problem)
    assert words in str(problem)


async def test_a_dockerfile_outside_the_context_is_not_read(store: ContainerImages, tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (tmp_path / "Dockerfile").write_text("FROM secret\n")
    (context / "Dockerfile").symlink_to("../Dockerfile")
    for name in ("Dockerfile", "../Dockerfile", str(tmp_path / "Dockerfile"), "absent"):
        problem = await problem_of(
            store.build(BuildRequest(context=str(context), reference="localhost/x:1", dockerfile=name))
        )
        assert problem.code == "build-failed"
        assert "secret" not in str(problem)


async def test_a_secret_is_for_the_step_alone(places: Stores, store: ContainerImages, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        f"FROM {BASE}\nCOPY . /context\n"
        "RUN --mount=type=secret,id=key sed s/hid/seen/ /run/secrets/key; ls -a /context\n"
    )
    request = BuildRequest(
        context=str(tmp_path), reference="localhost/dais/s:latest", secrets={"key": b"hidden"}, cache=False
    )
    if places.kind == "docker":
        assert "takes no secrets" in str(await problem_of(store.build(request)))
        return
    said = "\n".join(step.text for step in await steps_of(store.build(request)))
    assert "seenden" in said
    assert "hidden" not in said
    assert ".dais-secret" not in said


async def test_a_commit_has_what_was_written_and_nothing_that_was_given(
    docker: Client, store: ContainerImages, tmp_path: Path
) -> None:
    (tmp_path / "mine").write_text("x")
    limits = [{"Name": name, "Soft": 1024, "Hard": 1024} for name in ("nofile", "nproc")]
    host: dict[str, Any] = {"NetworkMode": "none", "Ulimits": limits, "Binds": [f"{tmp_path}:/mounted:ro"]}
    argv = ["/bin/sh", "-c", "echo written > /written; echo ready; sleep 600"]
    given: dict[str, Any] = {
        "Image": BASE,
        "Cmd": argv,
        "Env": ["KEY=hidden"],
        "Labels": {"dais.job": "j"},
        "HostConfig": host,
    }
    container = await docker.containers.create(given)
    try:
        await container.start()
        async for words in container.log(stdout=True, stderr=True, follow=True):
            if "ready" in words:
                break
        facts = await store.commit({"container": container.id}, "localhost/dais/kept:latest", {"x.y": "z"})
        assert facts.labels.get("x.y") == "z"
        assert facts.labels.get("dais.job", "") == ""
        assert facts.environment.get("KEY", "") == ""
        assert (facts.command, facts.entrypoint) == ((), ())
        check = ["/bin/sh", "-c", "cat /written; ls /mounted"]
        request: dict[str, Any] = {
            "Image": facts.id,
            "Cmd": check,
            "HostConfig": {"NetworkMode": "none", "Ulimits": limits},
        }
        other = await docker.containers.create(request)
        await other.start()
        await other.wait()
        assert [line.strip() for line in await other.log(stdout=True, stderr=True)] == ["written"]
        with pytest.raises(ImageProblem) as raised:
            await store.remove_image("localhost/dais/kept:latest")  # its only name
        assert raised.value.code == "in-use"
        await other.delete(force=True)
        await container.kill()
        await container.wait()
        with pytest.raises(LookupError):
            await store.commit({"container": container.id}, "localhost/dais/kept:2", {})
    finally:
        await container.delete(force=True)
    with pytest.raises(LookupError):
        await store.commit({"container": container.id}, "localhost/dais/kept:2", {})


async def test_what_could_write_nothing_makes_no_image(docker: Client, store: ContainerImages) -> None:
    limits = [{"Name": name, "Soft": 1024, "Hard": 1024} for name in ("nofile", "nproc")]
    host = {"NetworkMode": "none", "Ulimits": limits, "ReadonlyRootfs": True}
    given: dict[str, Any] = {"Image": BASE, "Cmd": ["sleep", "600"], "HostConfig": host}
    container = await docker.containers.create(given)
    try:
        await container.start()
        with pytest.raises(ImageProblem, match=r"read-only.* LABEL dais\.root=writable"):
            await store.commit({"container": container.id}, "localhost/dais/kept:latest", {})
    finally:
        await container.delete(force=True)


async def test_an_engine_that_is_gone_is_no_answer_about_an_image(tmp_path: Path) -> None:
    async with Client(url=f"unix://{tmp_path}/none") as client:
        gone = ContainerImages(client)
        for asked in (gone.images(), gone.image(BASE), gone.remove_image(BASE)):
            with pytest.raises(OSError, match="is the container daemon running"):
                await asked
        with pytest.raises(OSError, match="is the container daemon running"):
            await steps_of(gone.pull(BASE))
