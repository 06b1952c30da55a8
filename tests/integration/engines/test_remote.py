"""Supervisors on another machine, in a network namespace of its own, where only one side can open connections."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import ssl
from pathlib import Path
from typing import Any

import pytest

from dais.app.authority import CertificateAuthority
from dais.engines.contract import Terminal
from dais.engines.supervised.dialling import start_dial
from dais.engines.supervised.frames import pack
from dais.engines.supervised.remote import SERVER_NAME
from dais.kit.vault import Vault
from dais.node.streams import connect_tls, read_body, tls_context
from tests.support.apart import Opens, apart
from tests.support.away import WATCH, Site, bridge_of, place, site
from tests.support.engines import PATIENCE, drain, eventually
from tests.support.needs import needs_bwrap, needs_program

__all__ = ["apart", "place", "site"]

pytestmark = pytest.mark.anyio

MUCH = 100 << 20
WAYS: tuple[Opens, ...] = ("server", "node")


@pytest.mark.parametrize("opens", WAYS)
async def test_a_container_is_run_and_entered_over_the_one_way_there_is(site: Site, opens: Opens) -> None:
    site.apart.allow(opens)
    async with site.node("alloc-1") as node:
        await node.link.open()
        await node.launch("one", ("sleep-forever",))
        argv = ("/bin/sh", "-c", "stty size; echo yes; read line; stty size; exit 7")
        stream = await node.exec("one", *argv, pty=Terminal(rows=31, cols=97))
        seen = b""
        async with asyncio.timeout(PATIENCE):
            while b"yes" not in seen:
                item = await stream.receive()
                assert not isinstance(item, int), seen
                seen += item[1]
        await stream.resize(40, 100)
        await stream.send(b"go\n")
        out, _, code = await drain(stream)
        await stream.close()
        assert (b"31 97" in seen, b"40 100" in out, code) == (True, True, 7)
        many = await asyncio.gather(*(node.exec("one", "/bin/echo", str(number)) for number in range(20)))
        assert [await drain(one) for one in many] == [(f"{number}\n".encode(), b"", 0) for number in range(20)]
        for one in many:
            await one.close()
        await node.link.send(pack({"op": "shutdown", "kill": True}))
        end = await node.record("one", "ended")
        assert (end.reason, end.stop_reason) == ("stopped", "supervisor-shutdown")


@pytest.mark.parametrize("opens", WAYS)
async def test_a_port_is_reached_with_much_data_both_ways(site: Site, opens: Opens) -> None:
    needs_bwrap()
    needs_program("perl")
    site.apart.allow(opens)
    async with site.node("alloc-10") as node:
        await node.link.open()
        await node.launch("one", ("echo", "4711"), ("print", "up"), ("sleep-forever",), isolation="sandbox")

        async def listens() -> bool:
            try:
                await (await start_dial(node.connector, "one", 4711)).close()
            except ConnectionRefusedError:
                return False
            return True

        await eventually(listens, "the container listens")
        stream = await start_dial(node.connector, "one", 4711)
        block = bytes(range(256)) * 1024
        count = MUCH // len(block)

        async def feed() -> None:
            for _ in range(count):
                await stream.send(block)
            await stream.send_eof()

        feeding = asyncio.create_task(feed())
        digest, taken = hashlib.sha256(), 0
        async with asyncio.timeout(PATIENCE):
            while data := await stream.receive():
                digest.update(data)
                taken += len(data)
            await feeding
        await stream.close()
        assert (taken, digest.digest()) == (MUCH, hashlib.sha256(block * count).digest())
        for absent, error in (("one", ConnectionRefusedError), ("two", LookupError)):
            with pytest.raises(error):
                await start_dial(node.connector, absent, 1)
        # What is cut is no end.
        stream = await start_dial(node.connector, "one", 4711)
        await stream.send(b"x")
        assert await stream.receive() == b"x"
        os.kill(bridge_of(node.process.pid), signal.SIGKILL)
        with pytest.raises(ConnectionError):
            await stream.receive()


@pytest.mark.parametrize("opens", WAYS)
async def test_a_cable_that_was_cut_loses_nothing(site: Site, opens: Opens) -> None:
    site.apart.allow(opens)
    async with site.node("alloc-2") as node:
        await node.link.open()
        go = site.directory / "go"
        go.mkdir()
        go.chmod(0o777)
        wait = f"while [ ! -e {go}/now ]; do sleep 0.05; done; touch {go}/done"
        await node.launch("one", ("/bin/sh", "-c", wait), ("exit", "5"))
        site.apart.allow("nobody")
        (go / "now").touch()

        async def ended() -> bool:
            return (go / "done").exists()

        await eventually(ended, "the container goes on without the server")
        await node.until(lambda: node.lost)
        assert not [record for record in node.records if record.kind == "ended"]
        site.apart.allow(opens)
        assert (await node.record("one", "ended")).exit_code == 5
        await node.until(lambda: node.readies == 2)


async def test_a_bridge_that_dies_is_replaced(site: Site) -> None:
    async with site.node("alloc-3") as node:
        await node.link.open()
        await node.launch("one", ("sleep-forever",))
        os.kill(bridge_of(node.process.pid), signal.SIGKILL)
        await node.until(lambda: node.readies == 2)
        stream = await node.exec("one", "/bin/echo", "there")
        assert await drain(stream) == (b"there\n", b"", 0)
        await stream.close()


async def test_the_key_is_in_no_file_and_no_sandbox_sees_it(site: Site) -> None:
    needs_bwrap()
    async with site.node("alloc-4") as node:
        await node.link.open()
        key = json.loads(node.invitation)["key"].splitlines()[1]
        assert key.encode() in node.invitation
        look = f"cat {node.addresses}; grep -lsF '{key}' /proc/*/environ /proc/*/cmdline /proc/*/fd/*; echo looked"
        await node.launch("one", ("sleep-forever",), isolation="sandbox")
        stream = await node.exec("one", "/bin/sh", "-c", f"ls -d /proc/[0-9]*; {look}")
        out, err, _ = await drain(stream)
        await stream.close()
        assert b"looked" in out
        assert b"/fd/" not in out
        assert b"No such file" in err
        assert out.count(b"/proc/") < 8, "it sees processes of others"
    for found in site.directory.rglob("*"):
        assert not found.is_file() or key.encode() not in found.read_bytes(), found


async def test_strangers_at_the_listeners_get_nowhere_and_keep_nobody_waiting(site: Site, tmp_path: Path) -> None:
    async with site.node("alloc-6") as node:
        await node.link.open()
        told = json.loads(node.addresses.read_text())["addresses"]
        listeners = [(site.apart.node, told[0][1]), site.remote._public[0]]
        foreign = _foreign(tmp_path)
        idle = []
        for host, port in listeners:
            assert await _plain(host, port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") == b""
            for _ in range(150):  # more than may be greeted at once
                idle.append(await asyncio.open_connection(host, port))
            for name in (SERVER_NAME, "alloc-6"):
                await _refused(host, port, foreign.certificate, foreign.issue(name, 60), SERVER_NAME)
            await _refused(host, port, site.authority.certificate, site.authority.issue("alloc-7", 60), SERVER_NAME)
            await _refused(host, port, site.authority.certificate, None, SERVER_NAME)
        node_port = listeners[0]
        # A node whose certificate is another's is not taken for this one.
        proof = site.authority.issue(SERVER_NAME, 60)
        context = _context(site.authority.certificate, proof)
        with pytest.raises(ConnectionError, match="is alloc-6, not alloc-7"):
            await connect_tls(*node_port, context, "alloc-7", WATCH)
        async with asyncio.timeout(5):
            await node.launch("one", ("exit", "0"))
            _, writer = await node.connector.open()
            writer.close()
        for _, opened in idle:
            opened.close()


async def test_a_token_opens_one_connection_of_the_one_who_was_asked(site: Site) -> None:
    site.remote.expect("alloc-8")
    site.remote.expect("alloc-9")
    [place] = site.remote._public
    ours = _context(site.authority.certificate, site.authority.issue("alloc-8", 60))
    theirs = _context(site.authority.certificate, site.authority.issue("alloc-9", 60))
    offer_reader, offer = await connect_tls(*place, ours, SERVER_NAME, WATCH)
    offer.write(pack({"op": "offer"}))
    asked = asyncio.create_task(site.remote.ask("alloc-8"))
    async with asyncio.timeout(PATIENCE):
        body = await read_body(offer_reader)
        assert body is not None
        token = json.loads(body)["token"]
    assert await _opened(place, theirs, token) == b""
    # It was spoilt by the one who was not asked, and another one is needed.
    assert not asked.done()
    asked.cancel()
    asked = asyncio.create_task(site.remote.ask("alloc-8"))
    async with asyncio.timeout(PATIENCE):
        body = await read_body(offer_reader)
        assert body is not None
        token = json.loads(body)["token"]
        _, right = await connect_tls(*place, ours, SERVER_NAME, WATCH)
        right.write(pack({"op": "opened", "token": token}))
        _, granted = await asked
    assert await _opened(place, ours, token) == b""
    assert await _opened(place, ours, "guessed") == b""
    site.remote.forget("alloc-8")
    async with asyncio.timeout(PATIENCE):
        assert await offer_reader.read() == b""
    assert await _said(place, ours, {"op": "offer"}) == b""
    for writer in (offer, right, granted):
        writer.transport.abort()


def _foreign(tmp_path: Path) -> CertificateAuthority:
    directory = tmp_path / "foreign"
    directory.mkdir()
    return CertificateAuthority(directory, Vault(directory / "key"))


def _context(authority: str, proof: Any) -> ssl.SSLContext:
    return tls_context(listens=False, authority=authority, certificate=proof.certificate, key=proof.key)


async def _plain(host: str, port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(data)
    async with asyncio.timeout(PATIENCE):
        try:
            answer = await reader.read()
        except ConnectionResetError:
            answer = b""
    writer.close()
    # An alert of TLS is all that may be said.
    return b"" if answer[:1] == b"\x15" else answer


async def _refused(host: str, port: int, authority: str, proof: Any, name: str) -> None:
    """Whoever shows this is told nothing."""
    if proof is None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    else:
        context = _context(authority, proof)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        reader, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=name)
        writer.write(pack({"op": "offer"}) + pack({"op": "hello", "protocol": 1}))
        async with asyncio.timeout(PATIENCE):
            answer = await reader.read()
        writer.close()
    except (OSError, ssl.SSLError):
        return
    assert answer == b""


async def _opened(place: tuple[str, int], context: ssl.SSLContext, token: str) -> bytes:
    return await _said(place, context, {"op": "opened", "token": token})


async def _said(place: tuple[str, int], context: ssl.SSLContext, message: dict[str, Any]) -> bytes:
    reader, writer = await connect_tls(*place, context, SERVER_NAME, WATCH)
    writer.write(pack(message))
    async with asyncio.timeout(PATIENCE):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""
        finally:
            writer.transport.abort()
