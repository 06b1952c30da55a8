"""SSH into jobs: where the gateway is, users' public keys, certificates, and a way to it through the API."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Annotated

import msgspec

from dais.api.context import Context
from dais.api.routing import Receive, Routes, Scope, Send
from dais.identity import (
    SshKey,
    User,
    add_ssh_key,
    list_ssh_keys,
    remove_ssh_key,
    resolve_user,
    resource_at,
)
from dais.kit.clock import to_rfc3339
from dais.kit.database import UnitOfWork
from dais.wire import answers, ssh

routes = Routes()

CHUNK = 64 << 10
LARGEST_LINE = 16 << 10


class NewSshKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The line of a `.pub` file; without a label the key is called as its comment says."""

    public: Annotated[str, msgspec.Meta(max_length=LARGEST_LINE)]
    label: Annotated[str, msgspec.Meta(max_length=128)] | None = None


class NewCertificate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The line of a `.pub` file, whose private half has not left its machine."""

    public: Annotated[str, msgspec.Meta(max_length=LARGEST_LINE)]


@routes.get("/v1/ssh", summary="Tell where the SSH gateway is", own="how jobs are reached from here")
async def gateway(ctx: Context) -> ssh.SshGateway:
    """`host_key` is what it shows to be known by: trust no other."""
    return ctx.services.ssh.about()


@routes.post(
    "/v1/ssh/certificates",
    status=201,
    summary="Make a short-lived certificate for a public key",
    own="it lets do what the token lets do that it is asked for with, and ends with it",
)
async def new_certificate(ctx: Context, body: NewCertificate) -> ssh.SshCertificate:
    """It holds as long as the setting `[ssh] certificate_hours` says, and no longer than its token."""
    return await ctx.services.ssh.certify(ctx.actor, body.public)


@routes.get("/v1/users/{ref}/ssh-keys", summary="List the public keys of a user for SSH", action="token:list")
async def user_ssh_keys(ctx: Context, ref: str) -> answers.Page[ssh.SshKey]:
    """The newest first."""

    def read(uow: UnitOfWork) -> answers.Page[ssh.SshKey]:
        user = resolve_user(uow, ctx.actor, ref)
        found = list_ssh_keys(uow, ctx.actor, user.id)
        return answers.Page(items=[_answer(uow, user, key) for key in found])

    found: answers.Page[ssh.SshKey] = await ctx.db.read(read)
    return found


@routes.post(
    "/v1/users/{ref}/ssh-keys", status=201, summary="Let a user in by a public key through SSH", action="token:new"
)
async def new_ssh_key(ctx: Context, ref: str, body: NewSshKey) -> ssh.SshKey:
    """It lets do what the user may, as a token that is not narrowed."""

    def make(uow: UnitOfWork) -> ssh.SshKey:
        user = resolve_user(uow, ctx.actor, ref)
        made = add_ssh_key(uow, ctx.actor, body.public, user_id=user.id, label=body.label)
        return _answer(uow, user, made)

    made: ssh.SshKey = await ctx.db.write(make)
    return made


@routes.delete("/v1/ssh-keys/{ref}", summary="Let nobody in by a public key any more", status=204, action="token:rm")
async def delete_ssh_key(ctx: Context, ref: str) -> None:
    """By its id, or its fingerprint. Connections that it opened end."""
    await ctx.db.write(remove_ssh_key, ctx.actor, ref)


@routes.websocket(
    "/v1/ssh/connection",
    summary="Reach the SSH gateway where its own port cannot be",
    own="what comes through it says by itself, in SSH, who it is",
)
async def connection(ctx: Context, scope: Scope, receive: Receive, send: Send) -> None:
    # Binary messages are the bytes of one SSH connection, both ways.
    ours, theirs = socket.socketpair()
    with contextlib.closing(ours):
        for end in (ours, theirs):
            end.setblocking(False)
        try:
            await ctx.services.ssh.take(theirs, (scope.get("client") or ("",))[0])
        except BaseException:
            theirs.close()
            raise
        await receive()  # websocket.connect
        await send({"type": "websocket.accept"})
        await _splice(ours, receive, send)


async def _splice(sock: socket.socket, receive: Receive, send: Send) -> None:
    """Carry both ways until either end is done; neither is read faster than the other takes."""
    loop = asyncio.get_running_loop()

    async def inward() -> None:
        while (message := await receive())["type"] == "websocket.receive":
            if data := message.get("bytes"):
                await loop.sock_sendall(sock, data)

    async def outward() -> None:
        while data := await loop.sock_recv(sock, CHUNK):
            await send({"type": "websocket.send", "bytes": data})
        await send({"type": "websocket.close", "code": 1000})

    tasks = [asyncio.create_task(inward()), asyncio.create_task(outward())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _answer(uow: UnitOfWork, user: User, key: SshKey) -> ssh.SshKey:
    holder = ("user", user.id)
    return ssh.SshKey(
        id=key.id,
        urn=resource_at(uow, "token", key.id, organization_id=user.organization_id, holder=holder).urn,
        label=key.label,
        kind=key.kind,
        fingerprint=key.fingerprint,
        public=key.public,
        created_at=to_rfc3339(key.created_at),
        last_used_at=to_rfc3339(key.last_used_at) if key.last_used_at is not None else None,
    )
