"""Messages that tell of a job's end: to a real HTTP server, through every failure, on both databases."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import socket
from pathlib import Path
from typing import Any

import pytest

from dais.compute import Notifier, NotifySettings, get_wishes, new_signing, reseal_signing, retry_job, set_targets
from dais.compute.notify.queries import Settled, claim_due, next_due, settle
from dais.compute.notify.webhook import Failed, post
from dais.kit.addresses import Allowed
from dais.kit.clock import SECOND, ManualClock
from dais.kit.database import Database
from dais.kit.errors import Invalid
from dais.wire.answers import Delivery
from tests.support.receivers import Hooks, Received, certificate, hooks
from tests.support.world import World, running

pytestmark = pytest.mark.anyio

LOOPBACK = ("127.0.0.0/8",)


@pytest.fixture
def world(database: Database, clock: ManualClock, tmp_path: Path) -> World:
    return World(database, clock, tmp_path)


def notifier(world: World, **settings: Any) -> Notifier:
    made = NotifySettings(**{"internal_hosts": LOOPBACK, "base_url": "https://dais.example.org", **settings})
    return Notifier(world.db, world.vault, made)


async def ended(world: World, *targets: str, script: tuple[str, ...] = ("exit", "3")) -> str:
    """A job that has ended."""
    async with running(world):
        return (await world.finished(await world.submit(*script, notify=targets))).id


async def told(world: World, job_id: str) -> list[Delivery]:
    return list((await world.job(job_id)).notifications)


async def test_a_webhook_tells_of_the_end_signed(world: World) -> None:
    secret = await world.db.write(new_signing, world.actor, world.vault)
    with hooks() as receiver:
        job_id = await ended(world, receiver.url)
        assert [(one.state, one.tries) for one in await told(world, job_id)] == [("WAITING", 0)]
        assert await notifier(world).deliver_due("mine") == 1
        came = receiver.next()
        (done,) = await told(world, job_id)
    assert (done.state, done.tries, done.error, done.target) == ("DELIVERED", 1, None, receiver.url)
    assert came.path == "/hook?room=7"
    assert came.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert came.headers["content-type"] == "application/json"
    assert came.headers["webhook-id"] == done.id
    assert came.headers["webhook-signature"] == expected(secret, came)
    assert abs(int(came.headers["webhook-timestamp"]) - world.clock.now() // SECOND) <= 1
    data = came.json["data"]
    assert came.json["type"] == "job.ended"
    assert (data["id"], data["account"], data["run"]) == (job_id, "local.joe", 0)
    assert (data["state"], data["reason"], data["exit_code"]) == ("FAILED", "exit-code", 3)
    assert data["url"] == f"https://dais.example.org/jobs/{job_id}"
    assert data["ended_at"] >= data["started_at"] >= data["created_at"]
    assert await world.db.read(next_due) is None


def expected(secret: str, came: Received) -> str:
    """As a receiver that knows only the Standard Webhooks specification checks it."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{came.headers['webhook-id']}.{came.headers['webhook-timestamp']}.".encode() + came.body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


async def test_a_default_holds_where_a_job_names_nobody(world: World) -> None:
    one, other = "https://one.example.org/", "mail:ann@example.org"
    assert await told(world, await ended(world)) == []
    await world.db.write(set_targets, world.actor, (one, other))
    assert {d.target for d in await told(world, await ended(world))} == {one, other}
    assert [d.target for d in await told(world, await ended(world, "https://own.example.org"))] == [
        "https://own.example.org"
    ]
    assert await told(world, await ended(world, "none")) == []
    await world.db.write(new_signing, world.actor, world.vault)
    assert (await world.db.read(get_wishes, world.actor)).targets == (one, other), "a new key changes no targets"
    await world.db.write(set_targets, world.actor, ())
    wishes = await world.db.read(get_wishes, world.actor)
    assert (wishes.targets, wishes.signed) == ((), True)
    with pytest.raises(Invalid, match="mail address"):
        await world.db.write(set_targets, world.actor, ("mail:nobody",))


async def test_each_end_of_a_job_is_told_once(world: World) -> None:
    async with running(world):
        job_id = (await world.finished(await world.submit("exit", "3", notify=("https://one.example.org",)))).id
        await world.db.write(retry_job, world.actor, job_id, world.settings)
        await world.finished(job_id)
    assert len(await told(world, job_id)) == 2
    waiting = await world.submit("true", notify=("https://one.example.org",))
    await world.kill(waiting)
    assert len(await told(world, waiting)) == 1


async def test_what_fails_is_tried_again_later_and_given_up(world: World) -> None:
    with hooks() as receiver:
        receiver.answers = [500, 503, 500]
        job_id = await ended(world, receiver.url)
        sender = notifier(world, tries=3)
        ids = []
        for tries in (1, 2, 3):
            assert await sender.deliver_due("mine") == 1
            ids.append(receiver.next().headers["webhook-id"])
            assert await sender.deliver_due("mine") == 0, "not at once"
            (one,) = await told(world, job_id)
            assert one.tries == tries
            assert "answered 50" in (one.error or "")
            world.clock.advance(100)
        assert len(set(ids)) == 1
        assert one.state == "GIVEN_UP"
        assert await sender.deliver_due("mine") == 0


async def test_a_receiver_that_comes_back_is_told(world: World) -> None:
    with hooks() as receiver:
        receiver.answers = [500]
        job_id = await ended(world, receiver.url)
        sender = notifier(world)
        await sender.deliver_due("mine")
        world.clock.advance(15)
        await sender.deliver_due("mine")
        assert [d.state for d in await told(world, job_id)] == ["DELIVERED"]
        assert receiver.next().headers["webhook-id"] == receiver.next().headers["webhook-id"]


async def test_a_message_whose_sender_died_is_sent_again_after_a_pause_and_settled_once(world: World) -> None:
    with hooks() as receiver:
        job_id = await ended(world, receiver.url)
        (taken,) = await world.db.write(claim_due, "of the dead", 30.0)
        sender = notifier(world)
        assert await sender.deliver_due("mine") == 0, "it may have arrived: not at once"
        world.clock.advance(31)
        assert await sender.deliver_due("mine") == 1
        assert receiver.next().headers["webhook-id"] == taken.id
        await world.db.write(settle, "of the dead", [Settled(due=taken, error="late", again=1)])
        assert [(d.state, d.error) for d in await told(world, job_id)] == [("DELIVERED", None)]


async def test_one_users_messages_do_not_hold_up_another_ones(world: World) -> None:
    async with running(world):
        for _ in range(6):
            await world.finished(await world.submit("true", notify=("https://one.example.org",)))
    assert len(await world.db.write(claim_due, "mine", 30.0)) == 4


@pytest.mark.parametrize("target", ["https://localhost/x", "http://localhost/x"])
async def test_a_name_that_means_an_internal_address_is_never_reached(world: World, target: str) -> None:
    with hooks() as receiver:
        job_id = await ended(world, target.replace("localhost", f"localhost:{receiver.port}"))
        await notifier(world, internal_hosts=()).deliver_due("mine")
        (one,) = await told(world, job_id)
        assert (one.state, one.tries) == ("GIVEN_UP", 1)
        assert "internal address" in (one.error or "")
        assert receiver.count == 0


async def test_what_can_never_be_told_is_refused_at_the_submit(world: World) -> None:
    strict = notifier(world, internal_hosts=("hooks.lan",))
    for target in ("https://127.0.0.1/", "https://10.0.0.1/", "https://169.254.169.254/latest", "https://[::1]:8765/"):
        with pytest.raises(Invalid, match="internal address"):
            strict.check([target])
    with pytest.raises(Invalid, match="use https"):
        strict.check(["http://example.org/"])
    with pytest.raises(Invalid, match="DAIS_NOTIFY_SMTP_HOST"):
        strict.check(["mail:ann@example.org"])
    strict.check(["none", "http://hooks.lan/", "https://example.org/", "https://HOOKS.lan./"])
    with pytest.raises(Invalid, match="neither a host nor a network"):
        notifier(world, internal_hosts=("10.0.0.1/8",))


async def test_redirects_are_not_followed(world: World) -> None:
    with hooks() as receiver, hooks() as elsewhere:
        receiver.answers, receiver.location = [302], elsewhere.url
        job_id = await ended(world, receiver.url)
        await notifier(world).deliver_due("mine")
        assert "redirects are not followed" in ((await told(world, job_id))[0].error or "")
        assert elsewhere.count == 0


@pytest.mark.parametrize("trouble", ["silent", "wordy", "gone", "away"])
async def test_receivers_that_misbehave(world: World, trouble: str) -> None:
    with hooks() as receiver:
        receiver.answers = {"silent": [0], "gone": [410]}.get(trouble, [])
        receiver.padding = 100_000 if trouble == "wordy" else 0
        target = receiver.url if trouble != "away" else f"http://127.0.0.1:{free_port()}/"
        job_id = await ended(world, target)
        await notifier(world, timeout=0.5 if trouble == "silent" else 10).deliver_due("mine")
        (one,) = await told(world, job_id)
    words = {"silent": "did not answer within 0.5 s", "wordy": "cannot be reached", "gone": "410", "away": "reached"}
    assert words[trouble] in (one.error or "")
    assert one.state == ("GIVEN_UP" if trouble == "gone" else "WAITING")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_a_name_is_asked_for_once_and_the_checked_address_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    async def rebinding(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        address = "127.0.0.2" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    with hooks("127.0.0.2") as receiver:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", rebinding)
        allowed = Allowed.of(["127.0.0.2"])
        await post(f"http://hook.test:{receiver.port}/", "id", 1, b"{}", key=None, allowed=allowed)
        assert receiver.next().headers["host"] == f"hook.test:{receiver.port}"
    assert asked.count("hook.test") == 1
    with pytest.raises(Failed, match=r"hook\.test \(127\.0\.0\.1\) is an internal address"):
        await post("http://hook.test/", "id", 1, b"{}", key=None, allowed=allowed)


async def test_one_bad_address_among_good_ones_refuses_all(monkeypatch: pytest.MonkeyPatch) -> None:
    async def both(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in ("127.0.0.2", "10.0.0.1")]

    with hooks("127.0.0.2") as receiver:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", both)
        with pytest.raises(Failed, match=r"10\.0\.0\.1"):
            await post(f"http://a.test:{receiver.port}/", "id", 1, b"{}", key=None, allowed=Allowed.of(["127.0.0.2"]))
        assert receiver.count == 0


async def test_certificates_are_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, context = certificate(tmp_path, ["localhost"])
    allowed = Allowed.of(LOOPBACK)

    async def send(receiver: Hooks, host: str) -> None:
        await post(f"https://{host}:{receiver.port}/", "id", 1, b"{}", key=None, allowed=allowed)

    with hooks(context=context) as receiver:
        with pytest.raises(Failed, match="certificate of localhost is not good"):
            await send(receiver, "localhost")
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        await send(receiver, "localhost")
        assert receiver.next().body == b"{}"
        with pytest.raises(Failed, match="certificate"):
            await send(receiver, "127.0.0.1")  # it is not the certificate's name
        assert receiver.count == 0


async def test_signing_keys_follow_a_new_key_of_the_installation(world: World) -> None:
    secret = await world.db.write(new_signing, world.actor, world.vault)
    await asyncio.to_thread(world.vault.rotate)
    assert await world.db.write(reseal_signing, world.actor, world.vault) == 1
    with hooks() as receiver:
        await ended(world, receiver.url)
        await notifier(world).deliver_due("mine")
        came = receiver.next()
    assert came.headers["webhook-signature"] == expected(secret, came)


async def test_the_loop_delivers_when_a_job_ends(world: World) -> None:
    working = asyncio.create_task(notifier(world).loop.run())
    try:
        with hooks() as receiver:
            job_id = await ended(world, receiver.url)
            assert (await asyncio.to_thread(receiver.next)).json["data"]["id"] == job_id
            await world.until_true(lambda: delivered(world, job_id), "it is noted")
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def delivered(world: World, job_id: str) -> bool:
    return [one.state for one in await told(world, job_id)] == ["DELIVERED"]
