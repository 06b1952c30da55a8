"""Which server, as whom: arguments, then the environment, then the profile file.

The file is `profiles.toml` in the configuration directory (DAIS_CONFIG_DIR, else the user's own for "dais"), mode 0600:

    [default]
    url = "http://localhost:8765"
    token = "dais_…"
    account = "local.alice"
"""

from __future__ import annotations

import os
import tempfile
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from dais.sdk.errors import Invalid

DEFAULT_URL = "http://localhost:8765"
FILE_NAME = "profiles.toml"


@dataclass(frozen=True)
class Profile:
    """One table of the file; what is None is not in it."""

    url: str | None = None
    token: str | None = field(default=None, repr=False)
    account: str | None = None


@dataclass(frozen=True)
class Access:
    """What a client connects with. The origins say where url and token were found, for messages."""

    url: str
    token: str | None = field(repr=False)
    account: str | None
    url_origin: str
    token_origin: str


def config_dir() -> Path:
    """DAIS_CONFIG_DIR, else the platform's configuration directory for "dais"."""
    if named := os.environ.get("DAIS_CONFIG_DIR"):
        return Path(named).expanduser()
    import platformdirs

    return Path(platformdirs.user_config_dir("dais"))


def profiles_path() -> Path:
    """The profile file, whether it is there or not."""
    return config_dir() / FILE_NAME


def read_profiles() -> dict[str, Profile]:
    """Every profile of the file; none when there is no file. Raises Invalid `bad-profile-file`."""
    path = profiles_path()
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Invalid(
            f"the profile file {path} cannot be read: {error}",
            code="bad-profile-file",
            hint="mend it, or move it away and run `dais up` again",
        ) from error
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
    return profiles


def write_profile(name: str, profile: Profile) -> Path:
    """Add or replace one profile; the file is replaced whole, mode 0600. Returns its path. Raises OSError."""
    profiles = read_profiles() | {name: profile}
    path = profiles_path()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines = []
    for title, one in profiles.items():
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
    url: str | None = None, token: str | None = None, profile: str | None = None, account: str | None = None
) -> Access:
    """What to connect with. Raises Invalid `no-such-profile` or `bad-url`.

    A profile's token goes to that profile's address only: with DAIS_URL naming another server, the profile of that
    server is looked for, and no token is sent where there is none.
    """
    profiles = read_profiles()
    named = profile or os.environ.get("DAIS_PROFILE")
    if named and named not in profiles:
        known = ", ".join(sorted(profiles)) or "none"
        raise Invalid(
            f"there is no profile {named!r} in {profiles_path()} (there: {known})",
            code="no-such-profile",
            hint="name one of these with --profile or DAIS_PROFILE, or leave both out",
        )
    name = named or "default"
    chosen = profiles.get(name, Profile())
    wanted, url_origin = _first((url, "the argument"), (os.environ.get("DAIS_URL"), "DAIS_URL"))
    if wanted and not _same_place(wanted, chosen.url):
        name, chosen = next(
            ((title, one) for title, one in profiles.items() if _same_place(wanted, one.url)), ("", Profile())
        )
    if not wanted:
        wanted, url_origin = (chosen.url, f"profile {name}") if chosen.url else (DEFAULT_URL, "the default")
    file_origin = f"profile {name!r} in {profiles_path()}"
    secret, token_origin = _first(
        (token, "the argument"), (os.environ.get("DAIS_TOKEN"), "DAIS_TOKEN"), (chosen.token, file_origin)
    )
    spent, _ = _first((account, ""), (os.environ.get("DAIS_ACCOUNT"), ""), (chosen.account, ""))
    return Access(_checked_url(wanted, url_origin), secret, spent, url_origin, token_origin)


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
