"""What an address of the pages is, and those of everybody's own settings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Unpack

from starlette.requests import Request
from starlette.responses import Response

from dais.api import Asking, Asks, asks
from dais.web.frame import Frame
from dais.web.pages import dotfiles, keys, passkeys, security, settings, ssh_keys

Handler = Callable[[Request, Frame], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Page:
    """One address of the pages. A WebSocket has no method; what answers it, and files, is not `handler`."""

    method: str
    path: str
    handler: Handler | None
    asks: Asks


def page(method: str, path: str, handler: Handler | None, **asking: Unpack[Asking]) -> Page:
    """An address with what it asks for, as API routes say it: `action`, else `own` or `public` with the reason."""
    return Page(method, path, handler, asks(f"{method} {path}", **asking))


SETTINGS: tuple[Page, ...] = (
    page("GET", "/settings", settings.show_settings, own="what is known of them"),
    page("POST", "/settings", settings.set_profile, own="what is known of them"),
    page("GET", "/settings/security", security.show_security, own="what they sign in with"),
    page("POST", "/settings/security/password", security.change_password, own="it knows the old one"),
    page("GET", "/settings/security/device", security.show_device, own="what they sign in with"),
    page("POST", "/settings/security/device", security.set_device, own="what they sign in with"),
    page("POST", "/settings/security/devices/{id}/remove", security.remove_device, own="what they sign in with"),
    page("POST", "/settings/security/codes", security.renew_codes, own="what they sign in with"),
    page("GET", "/settings/keys", keys.show_keys, action="token:list"),
    page("POST", "/settings/keys", keys.make_key, action="token:new"),
    page("POST", "/settings/keys/{id}/end", keys.end_key, action="token:rm"),
    page("GET", "/settings/ssh-keys", ssh_keys.show_ssh_keys, action="token:list"),
    page("POST", "/settings/ssh-keys", ssh_keys.add, action="token:new"),
    page("POST", "/settings/ssh-keys/{id}/remove", ssh_keys.remove, action="token:rm"),
    page("GET", "/settings/dotfiles", dotfiles.show_dotfiles, own="their own files"),
    page("POST", "/settings/dotfiles", dotfiles.set_one, own="their own files"),
    page("GET", "/settings/dotfiles/file", dotfiles.show_dotfile, own="their own files"),
    page("POST", "/settings/dotfiles/remove", dotfiles.remove, own="their own files"),
    page("GET", "/settings/sessions", settings.show_sessions, own="where they are signed in"),
    page("POST", "/settings/sessions/{id}/end", settings.end_session, own="it ends a session of theirs"),
    page("GET", "/settings/passkeys", passkeys.show_passkeys, own="what they sign in with"),
    page("POST", "/settings/passkeys/ask", passkeys.ask_new, own="what they sign in with"),
    page("POST", "/settings/passkeys", passkeys.make, own="what they sign in with"),
    page("POST", "/settings/passkeys/{id}", passkeys.rename, own="what they sign in with"),
    page("POST", "/settings/passkeys/{id}/remove", passkeys.remove, own="what they sign in with"),
)
"""What everybody sets for themselves."""
