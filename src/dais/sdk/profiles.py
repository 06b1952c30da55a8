"""Which server, as whom: arguments, then the environment, then the profile file.

The file is `profiles.toml` in the configuration directory (DAIS_CONFIG_DIR, else the user's own for "dais"), mode 0600:

    use = "default"

    [default]
    url = "http://localhost:8765"
    token = "dais_…"
    account = "local.alice"
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from dais.sdk.errors import Invalid
from dais.sdk.own_directory import own_directory
from dais.sdk.target import Target

DEFAULT_URL = "http://localhost:8765"
FILE_NAME = "profiles.toml"
DEFAULT_NAME = "default"
ENVIRONMENT = "the environment variable"
PREFIXES = ("DAIS_",)
USE = "use"
"""The key of the profile that holds where none is named; so no profile can be called like this."""


class Profile(NamedTuple):
    """One table of the file; what is None is not in it."""

    url: str | None = None
    token: str | None = None
    account: str | None = None

    def __repr__(self) -> str:
        return f"Profile(url={self.url!r}, account={self.account!r})"


class Access(NamedTuple):
    """What a client connects with. The origins say where url and token were found, for messages.

    `profile` is the profile's name, "" where none has to do with it. `outdone` tells, in sentences, what of a profile
    that was named does not hold, because the environment wins.
    """

    url: str
    token: str | None
    account: str | None
    url_origin: str
    token_origin: str
    profile: str = ""
    outdone: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Access(url={self.url!r}, account={self.account!r}, profile={self.profile!r})"

    @property
    def target(self) -> Target:
        return Target(self.url, self.token, self.token_origin)


def config_dir() -> Path:
    """DAIS_CONFIG_DIR, else the platform's configuration directory for "dais"."""
    if named := os.environ.get("DAIS_CONFIG_DIR"):
        return Path(named).expanduser()
    return own_directory("config")


def profiles_path() -> Path:
    """The profile file, whether it is there or not."""
    return config_dir() / FILE_NAME


class ProfileFile(NamedTuple):
    """What is in the file. `use` is the name of the profile that holds where none is named."""

    profiles: dict[str, Profile]
    use: str = DEFAULT_NAME


def read_file() -> ProfileFile:
    """The file; empty when there is none. Raises Invalid `bad-profile-file`."""
    path = profiles_path()
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ProfileFile({})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Invalid(
            f"the profile file {path} cannot be read: {error}",
            code="bad-profile-file",
            hint="mend it, or move it away and run `dais up` or `dais login` again",
        ) from error
    use = tables.pop(USE, DEFAULT_NAME)
    if not isinstance(use, str):
        raise Invalid(f"the profile file {path}: `{USE}` must be the name of a profile", code="bad-profile-file")
    profiles = {}
    for name, table in tables.items():
        values = table if isinstance(table, dict) else {}
        wrong = [key for key in ("url", "token", "account") if not isinstance(values.get(key, ""), str)]
        if not isinstance(table, dict) or wrong:
            raise Invalid(
                f"the profile file {path}: [{name}] must be a table of texts url, token and account",
                code="bad-profile-file",
            )
        profiles[name] = Profile(values.get("url"), values.get("token"), values.get("account"))
    return ProfileFile(profiles, use)


def read_profiles() -> dict[str, Profile]:
    """Every profile of the file; none when there is no file. Raises Invalid `bad-profile-file`."""
    return read_file().profiles


def get_profile(name: str) -> Profile:
    """The profile of a name. Raises Invalid `no-such-profile`."""
    return _named(name, read_profiles())


def current_name(named: str | None = None) -> str:
    """The profile that holds: the one named, else DAIS_PROFILE's, else the file's."""
    return named or os.environ.get("DAIS_PROFILE") or read_file().use


def write_profile(name: str, profile: Profile) -> Path:
    """Add or replace one profile. Returns the file's path. Raises OSError, Invalid `bad-profile-name`."""
    if not name.strip() or name == USE:
        raise Invalid(f"a profile cannot be called {name!r}; choose another name", code="bad-profile-name")
    found = read_file()
    return _write(ProfileFile(found.profiles | {name: profile}, found.use))


def use_profile(name: str) -> Path:
    """Let a profile hold where none is named. Returns the file's path. Raises Invalid `no-such-profile`."""
    found = read_file()
    _named(name, found.profiles)
    return _write(ProfileFile(found.profiles, name))


def remove_profile(name: str) -> Path:
    """Forget a profile; its token holds on. Returns the file's path. Raises Invalid `no-such-profile`."""
    found = read_file()
    _named(name, found.profiles)
    left = {title: one for title, one in found.profiles.items() if title != name}
    return _write(ProfileFile(left, DEFAULT_NAME if found.use == name else found.use))


def _named(name: str, profiles: dict[str, Profile]) -> Profile:
    if name not in profiles:
        known = ", ".join(sorted(profiles)) or "none"
        raise Invalid(
            f"there is no profile {name!r} in {profiles_path()} (there: {known})",
            code="no-such-profile",
            hint="name one of these with --profile or DAIS_PROFILE, leave both out, or make it with `dais login`",
        )
    return profiles[name]


def _write(wanted: ProfileFile) -> Path:
    """The file is replaced whole, mode 0600."""
    import tempfile

    path = profiles_path()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines = [f"{USE} = {_toml(wanted.use)}", ""] if wanted.use != DEFAULT_NAME else []
    for title, one in wanted.profiles.items():
        lines.append(f"[{_toml(title)}]")
        pairs = (("url", one.url), ("token", one.token), ("account", one.account))
        lines += [f"{key} = {_toml(value)}" for key, value in pairs if value is not None]
        lines.append("")
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".profiles-")  # made with mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("\n".join(lines))
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def find_access(
    url: str | None = None,
    token: str | None = None,
    profile: str | None = None,
    account: str | None = None,
    *,
    prefixes: Sequence[str] = PREFIXES,
) -> Access:
    """What to connect with. Raises Invalid `no-such-profile` or `bad-url`.

    A profile's token goes to that profile's address only: with DAIS_URL naming another server, the profile of that
    server is looked for, and no token is sent where there is none. The token "" is none at all. `prefixes` are how the
    environment's variables may begin, the winner first.
    """
    found = read_file()
    profiles = found.profiles
    named, named_by = _first((profile, "--profile"), *_set("PROFILE", prefixes))
    if named:
        _named(named, profiles)
    name = named or found.use
    chosen = profiles.get(name, Profile())
    wanted, url_origin = _first((url, "the argument"), *_set("URL", prefixes, f"{ENVIRONMENT} "))
    outdone: list[str] = []
    if wanted and not _same_place(wanted, chosen.url):
        if named and not url:
            variable = url_origin.rpartition(" ")[2]
            outdone.append(f"{variable}={wanted} is set and wins over the address of profile {named!r} ({named_by})")
        name, chosen = next(
            ((title, one) for title, one in profiles.items() if _same_place(wanted, one.url)), ("", Profile())
        )
    if not wanted:
        wanted, url_origin = (chosen.url, f"profile {name}") if chosen.url else (DEFAULT_URL, "the default")
    secret, token_origin = _first(
        (token, "the argument"),
        *(_set("TOKEN", prefixes, f"{ENVIRONMENT} ") if token != "" else ()),
        (chosen.token if token != "" else None, f"profile {name!r} in {profiles_path()}"),
    )
    if named and secret and secret != chosen.token and token is None:
        variable = token_origin.rpartition(" ")[2]
        outdone.append(f"{variable} is set and wins over the token of profile {named!r} ({named_by})")
    spent, _ = _first((account, ""), *_set("ACCOUNT", prefixes), (chosen.account, ""))
    origin = _checked_url(wanted, url_origin)
    used = name if name in profiles else ""
    return Access(origin, secret, spent, url_origin, token_origin, used, tuple(outdone))


def login_target(url: str | None = None, profile: str | None = None) -> tuple[str, str]:
    """The profile that a sign-in is kept in, which need not be there yet, and the address of its server.

    Raises Invalid `bad-url`.
    """
    found = read_file()
    named = profile or os.environ.get("DAIS_PROFILE")
    chosen = found.profiles.get(named or found.use, Profile())
    wanted, origin = _first((url, "the argument"), (os.environ.get("DAIS_URL"), "DAIS_URL"), (chosen.url, "the file"))
    address = _checked_url(wanted or DEFAULT_URL, origin)
    if named:
        return named, address
    if chosen.url is None or _same_place(address, chosen.url):
        return found.use, address
    for title, one in found.profiles.items():
        if _same_place(address, one.url):
            return title, address
    host = urlsplit(address).hostname or DEFAULT_NAME
    free = (name for number in range(1, 1000) if (name := host if number == 1 else f"{host}-{number}"))
    return next(name for name in free if name not in found.profiles), address


def _set(name: str, prefixes: Sequence[str], origin: str = "") -> list[tuple[str | None, str]]:
    """What the environment says under a name, with each prefix, and where it said so."""
    return [(os.environ.get(f"{prefix}{name}"), f"{origin}{prefix}{name}") for prefix in prefixes]


def _first(*candidates: tuple[str | None, str]) -> tuple[str | None, str]:
    return next(((value.strip(), origin) for value, origin in candidates if value and value.strip()), (None, ""))


def _checked_url(url: str, origin: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Invalid(
            f"{url!r} (from {origin}) is no address of a server", code="bad-url", hint="write http://HOST:PORT"
        )
    return url.rstrip("/")


def _same_place(url: str, other: str | None) -> bool:
    return other is not None and _place(url) == _place(other)


def _place(url: str) -> tuple[str, str, int | None, str]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, "localhost" if host in ("127.0.0.1", "::1") else host, port, parts.path.rstrip("/")


def _toml(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04X}" for c in escaped) + '"'
