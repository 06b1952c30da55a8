"""The walkers of `tests/acceptance/test_gates.py`, and the things that they come to."""

from __future__ import annotations

import itertools

import httpx2
import msgspec
from sqlalchemy import Table, func, select

from dais.api import make_folder
from dais.compute import (
    ProvisioningSettings,
    RegistryChange,
    add_image,
    new_group,
    register_template,
    set_alias,
    set_registry,
    set_secret,
    submit_job,
)
from dais.compute.environments.commands import claim_environment
from dais.compute.groups.commands import register_group
from dais.compute.images.changes import enter_image
from dais.compute.provisioning.commands import end_template
from dais.compute.provisioning.model import Sample, fit
from dais.data import commit_files, create_file_set
from dais.data.hashing import digest_of
from dais.engines.contract import RootFacts
from dais.identity import (
    ACTIONS,
    INSTALLATION,
    Actor,
    NewToken,
    add_role_member,
    add_ssh_key,
    authenticate,
    create_account,
    create_organization,
    create_policy,
    create_role,
    create_role_key,
    create_team,
    create_token,
    create_user,
    resolve_role,
)
from dais.identity.signing_in.invitations import invite
from dais.kit.database import Statement, UnitOfWork, metadata
from dais.kit.ids import new_id
from dais.kit.vault import Vault
from dais.wire.lake import NewVersion
from dais.wire.spec import JobSpec, Resources
from dais.wire.templates import NewTemplate
from dais.wire.transfers import NewFolder
from tests.support.site import Site
from tests.support.ssh import public_key
from tests.support.sso import only_provider

DIGEST = digest_of(b"x")
CHANGES = (
    *("organizations", "accounts", "users", "teams", "team_users", "roles", "role_users", "policies", "tokens"),
    *(
        "folders",
        "secrets",
        "images",
        "container_images",
        "registries",
        "resource_groups",
        "environments",
        "invitations",
        "log_limits",
        "notify_settings",
    ),
    *("identity_providers", "files", "file_versions", "file_sets", "file_set_versions", "templates"),
)
"""Tables that no refused request may touch."""
_counted: dict[str, Statement] = {}


class Walk:
    """The walkers, and the things that they come to."""

    def __init__(self, site: Site, root: Actor, client: httpx2.AsyncClient) -> None:
        self.site, self.db, self.root, self.client = site, site.world.db, root, client
        self.org = root.organization_id
        self._numbers = itertools.count(1)
        self._kept: dict[str, str] = {}

    def prepare(self) -> None:
        """The account where everything lies, and the administrator of another organization."""
        self.lab = self.db.write_sync(create_account, self.root, "lab")
        other = self.db.write_sync(create_organization, self.root, "other")
        self.foe = self.member([], organization_id=other.id)
        role = self.db.read_sync(resolve_role, self.root, "other.admin")
        self.db.write_sync(add_role_member, self.root, role, user_id=self.db.read_sync(authenticate, self.foe).actor.id)

    def member(self, actions: list[str], *, organization_id: str | None = None) -> str:
        """The token of a new user who may do these everywhere in the organization, and in the installation."""
        user = self.db.write_sync(create_user, self.root, f"u{next(self._numbers)}", organization_id=organization_id)
        if actions:
            self.db.write_sync(create_policy, self.root, "user", user.id, self.statements(actions))
        return self.secret(self.db.write_sync(create_token, self.root, user_id=user.id))

    def user_of(self, token: str) -> str:
        """The id of the user whose token it is."""
        found: str = self.db.read_sync(authenticate, token).actor.id
        return found

    def narrowed(self, actions: list[str]) -> str:
        """A token of the installation's administrator that may do these alone."""
        return self.secret(self.db.write_sync(create_token, self.root, narrowed=self.statements(actions)))

    def statements(self, actions: list[str]) -> list[str]:
        places = f"{self.org}+{self.org}:*+{INSTALLATION}+{INSTALLATION}:*"
        if set(actions) == ACTIONS:  # within one statement, as those who grant must have it
            return [f"*@{places}"]
        return [f"{'+'.join(actions[at : at + 60])}@{places}" for at in range(0, len(actions), 60)]

    @staticmethod
    def secret(token: NewToken) -> str:
        return token.secret

    async def kept(self, address: str) -> dict[str, str]:
        """The things that are made once, for all requests that change nothing: what is refused, and what only reads.

        Some addresses have more of them; and an audit tells of what was refused before, by its name.
        """
        if any(word in address for word in ("/groups", "/registries", "/audit")):
            return await self.things(address)
        if not self._kept:
            self._kept = await self.things(address)
        return dict(self._kept)

    async def things_to_change(self, address: str) -> dict[str, str]:
        """Those that a request may change or remove."""
        return await (self.kept if address.startswith("GET ") else self.things)(address)

    async def things(self, address: str) -> dict[str, str]:
        """One of everything, in the account `local.lab` and in the organization; a group where the address has one."""
        n = next(self._numbers)
        db, root, account = self.db, self.root, self.lab.id
        folder = await make_folder(self.site.services, root, NewFolder(name=f"f{n}", account=account), new_id())
        (self.site.world.folders.root / folder.id / "a.txt").write_text("a")
        spec = JobSpec(command=("true",), account=account, resources=Resources(cpu=0.1, mem=1 << 20))
        folder_id = folder.id
        self.site.services.blobs.put(b"x")
        vault, settings = self.site.world.vault, self.site.world.settings

        def make(uow: UnitOfWork) -> dict[str, str]:
            user, team = create_user(uow, root, f"t{n}"), create_team(uow, root, f"t{n}")
            role = create_role(uow, root, "organization", self.org, f"r{n}")
            harmless = [f"team:get@{self.org}:team:*"]
            set_secret(uow, root, vault, f"S{n}", b"v", account=account)
            commit_files(uow, root, account, [NewVersion(path=f"/{d}{n}/a", digest=DIGEST, size=1) for d in ("d", "e")])
            kinds = {"kind": "pip", "requirements": "x", "interpreter": "p", "run_id": new_id()}
            return {
                "n": str(n),
                "org": self.org,
                "account": account,
                "folder": folder_id,
                "folder_name": f"f{n}",
                "secret": f"S{n}",
                "provider": only_provider(uow, root, vault, n),
                "user": user.id,
                "team": team.id,
                "role": role.id,
                "digest": DIGEST,
                "fileset": create_file_set(uow, root, f"f{n}", [f"/d{n}/a"], account=account).name,
                "upload": "u",
                "template": self.template(uow, account, n),
                "job": submit_job(uow, root, spec, settings).id,
                "group": attached(uow, root, f"g{n}") if "/groups" in address else "none",
                "image": add_image(uow, root, "default", f"i{n}", f"/srv/{n}", RootFacts()).name,
                "box": self.box(uow, account, n),
                "alias": f"a{n}",
                "registry": registered(uow, root, vault, f"r{n}.example.org") if "/registries" in address else "none",
                "environment": claim_environment(uow, self.org, f"k{n}", **kinds).id,
                "policy": create_policy(uow, root, "user", user.id, harmless).id,
                "role_policy": create_policy(uow, root, "role", role.id, harmless).id,
                "user_key": create_token(uow, root, user_id=user.id).id,
                "role_key": create_role_key(uow, root, role).id,
                "ssh_key": add_ssh_key(uow, root, public_key(2 * n), user_id=user.id).id,
                "new_ssh_key": public_key(2 * n + 1),
                "invitation": invite(uow, root, f"i{n}@example.org", []).invitation.id,
            }

        made: dict[str, str] = await db.write(make)
        return made

    def template(self, uow: UnitOfWork, account: str, n: int) -> str:
        """A template that is ready; its number."""
        spec = JobSpec(command=("true",), account=account)
        new = NewTemplate(name=f"t{n}", spec=spec, cpu=(0.1,), mem=(4 << 20,))
        made = register_template(uow, self.root, new, self.site.world.settings, ProvisioningSettings())
        fitted = fit((), [Sample((), 0.1, 4 << 20, 1.0)] * 3)
        end_template(uow, made.id, "ready", None, msgspec.json.encode(fitted).decode())
        return str(made.number)

    def box(self, uow: UnitOfWork, account: str, n: int) -> str:
        """A container image of the account, with an alias, in a group whose engine is away."""
        register_group(uow, "boxes", "docker", "")
        reference = f"docker.io/library/b{n}:1"
        made = enter_image(uow, "boxes", account, reference, self.root.id, origin="registered", name=f"b{n}")
        set_alias(uow, self.root, "boxes", account, made.id, f"a{n}")
        return str(made.id)

    def changes(self) -> dict[str, int]:
        """How many rows there are of what may change, and how many changes were allowed."""
        return self.db.read_sync(_count)  # type: ignore[no-any-return]


def registered(uow: UnitOfWork, root: Actor, vault: Vault, host: str) -> str:
    """A registry that nobody has asked yet; its host."""
    return set_registry(uow, root, vault, host, RegistryChange(), new=True).host


def attached(uow: UnitOfWork, root: Actor, name: str) -> str:
    """A group of a machine that is there; its name."""
    new_group(uow, root, name, "fake", {"machine": "far"}, "host")
    return name


def _count(uow: UnitOfWork) -> dict[str, int]:
    if not _counted:
        for name in CHANGES:
            table: Table = metadata.tables[name]
            _counted[name] = Statement(select(func.count()).select_from(table))
        audit = metadata.tables["audit"].c
        allowed = select(func.count()).where(audit.allowed == 1, audit.action.not_like("session:%"))
        _counted["audit"] = Statement(allowed)
    return {name: uow.scalar(statement) for name, statement in _counted.items()}
