"""What the pages and the API call to let people in: verbs, with the hashing between them, outside of transactions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

import msgspec

from dais.identity.rules import require
from dais.identity.sessions import Browser, Session, rotate_session
from dais.identity.settings import IdentitySettings
from dais.identity.signing_in import keeping
from dais.identity.signing_in.failures import Addresses, count_attempt, locked, subject_of
from dais.identity.signing_in.forgotten import Forgotten
from dais.identity.signing_in.invitations import (
    Invitation,
    NewInvitation,
    accept_invitation,
    find_invitation,
    invite,
    mail_of,
    note_mail,
)
from dais.identity.signing_in.passwords import Hashing, check_password
from dais.identity.signing_in.second_factors import (
    check_code,
    confirm_enrolment,
    new_recovery_codes,
    recovery_codes_left,
    remove_device,
)
from dais.identity.signing_in.steps import Entry, find_pending, go_on
from dais.identity.types import Actor
from dais.kit.database import Database, UnitOfWork
from dais.kit.errors import Invalid, Unauthenticated
from dais.kit.mail import Mailer, MailSettings, Undelivered
from dais.kit.vault import Vault


class SignInDesk:
    """Lets people in. One for each process: it remembers which addresses failed, and bounds what hashing takes.

    Every failure of a person is one of: Unauthenticated `wrong-password`, `wrong-code`, `no-sign-in`, `user-disabled`;
    TooMany `locked-out`, `too-many-sign-ins`, with `retry_after`; Invalid `weak-password`, `bad-password`.
    """

    def __init__(
        self,
        db: Database,
        vault: Vault,
        settings: IdentitySettings,
        mailer: Mailer | None = None,
        url: Callable[[], str] = str,
    ) -> None:
        self._db = db
        self.forgotten = Forgotten(db, mailer or Mailer(MailSettings()), url)
        self.vault = vault
        self.settings = settings
        self.hashing = Hashing(settings)
        self._addresses = Addresses()

    async def by_password(self, name: str, password: str, browser: Browser) -> Entry:
        """Sign in by an e-mail address or `org.user` and a password. Whether there is such a user is not to be told:
        the answer is the same, and so is the work."""
        self._addresses.count(browser.address, self._db.clock.now())
        attempt: keeping.Attempt = await self._db.write(keeping.begin_attempt, name[:320])
        try:
            again = await self._proved(attempt, password)
        except Unauthenticated:
            await self._db.write(keeping.note_failure, attempt, browser)
            raise
        entry: Entry = await self._db.write(keeping.finish_attempt, attempt, again, browser, self.settings)
        self._addresses.take_back(browser.address)
        return entry

    def forgot(self, email: str, browser: Browser) -> None:
        """Somebody forgot their password; see `Forgotten`. It counts as a failure of the address, whoever it is."""
        self._addresses.count(browser.address, self._db.clock.now())
        self.forgotten.note(email)

    async def second_factor(self, secret: str, code: str, browser: Browser) -> Entry:
        """Go on with a sign-in by a code of a device, or a recovery code."""
        self._addresses.count(browser.address, self._db.clock.now())
        found: Entry | int = await self._db.write(self._by_code, secret, code[:64], browser)
        if isinstance(found, int):
            raise locked(found) if found else wrong_code()
        self._addresses.take_back(browser.address)
        return found

    async def enrol(self, secret: str, code: str, name: str, browser: Browser) -> tuple[Entry, list[str]]:
        """Go on with a sign-in by setting a device up with a code that it shows; with fresh recovery codes."""
        found: tuple[Entry, list[str]] | None = await self._db.write(self._enrolled, secret, code[:64], name, browser)
        if found is None:
            raise wrong_code()
        return found

    async def pending_password(self, secret: str, password: str, browser: Browser) -> Entry:
        """Go on with a sign-in by a new password."""

        def owner(uow: UnitOfWork) -> keeping.Owner:
            return keeping.owner_of(uow, find_pending(uow, secret, "password").user_id)

        new = await self._fresh(await self._db.read(owner), password)
        entry: Entry = await self._db.write(keeping.set_pending_password, secret, new, browser, self.settings)
        return entry

    async def confirm(self, actor: Actor, password: str) -> str | None:
        """Return when it is the actor's password, or they have none: before what somebody else at their browser must
        not do. The hash that it was compared with."""
        if not await self._db.read(keeping.has_password, actor.id):
            return None
        attempt: keeping.Attempt = await self._db.write(keeping.begin_check, actor.id)
        await self._proved(attempt, password)
        await self._db.write(keeping.end_check, attempt)
        return attempt.stored

    async def change_password(self, session: Session, old: str, password: str, browser: Browser) -> str:
        """Set one's own password, knowing the old one; the secret of a new session, for all others have ended."""
        actor = session.actor
        stored = await self.confirm(actor, old)
        owner: keeping.Owner = await self._db.read(keeping.owner_of, actor.id)
        new = await self._fresh(owner, password)
        secret: str = await self._db.write(
            keeping.change_own_password, actor, stored, new, browser, self.settings, session.strong
        )
        return secret

    async def add_device(
        self, session: Session, code: str, name: str, password: str, browser: Browser
    ) -> tuple[str, list[str]]:
        """Finish setting a device of one's own up; the secret of the session, which goes on with a second factor.

        With the first device come recovery codes, else none.
        """
        await self.confirm(session.actor, password)

        def apply(uow: UnitOfWork) -> tuple[str, list[str]] | None:
            _require_oneself(uow, session.actor)
            if not confirm_enrolment(uow, self.vault, session.actor.id, code[:64], name):
                return None
            codes = [] if recovery_codes_left(uow, session.actor.id) else new_recovery_codes(uow, session.actor.id)
            return rotate_session(uow, session, browser, self.settings, strong=True), codes

        done: tuple[str, list[str]] | None = await self._db.write(apply)
        if done is None:
            raise wrong_code()
        return done

    async def remove_device(self, actor: Actor, device_id: str, password: str) -> None:
        """Take a device of one's own away. Raises NotFound `no-such-device`."""
        await self.confirm(actor, password)

        def apply(uow: UnitOfWork) -> None:
            _require_oneself(uow, actor)
            remove_device(uow, actor.id, device_id)

        await self._db.write(apply)

    async def renew_recovery_codes(self, actor: Actor, password: str) -> list[str]:
        """Fresh recovery codes, which are told this once; older ones are good no more."""
        await self.confirm(actor, password)

        def apply(uow: UnitOfWork) -> list[str]:
            _require_oneself(uow, actor)
            return new_recovery_codes(uow, actor.id)

        codes: list[str] = await self._db.write(apply)
        return codes

    async def set_password(self, actor: Actor, user_id: str, password: str, *, must_change: bool = True) -> None:
        """Set somebody's password, who must change it when they sign in; see `keeping.set_password`."""
        owner: keeping.Owner = await self._db.read(keeping.owner_of, user_id)
        new = await self.hash_new(password, owner.known)

        def apply(uow: UnitOfWork) -> None:
            keeping.set_password(uow, actor, user_id, new, must_change=must_change)

        await self._db.write(apply)

    async def accept(self, secret: str, name: str, full_name: str, password: str, browser: Browser) -> Entry:
        """Become a user by an invitation; see `invitations.accept_invitation`."""
        found: Invitation = await self._db.read(find_invitation, secret)
        known = (name[:64], full_name[:200], found.email, found.organization, "dais")
        stored = await self.hash_new(password, known)

        def apply(uow: UnitOfWork) -> Entry:
            return accept_invitation(uow, secret, name, full_name, stored, browser=browser, settings=self.settings)

        entry: Entry = await self._db.write(apply)
        return entry

    async def invite(
        self, actor: Actor, email: str, grants: Sequence[str], organization_id: str | None = None
    ) -> tuple[Invitation, str | None]:
        """Invite somebody, and mail the invitation; with the link's path where it could not be mailed.

        How the mail went is written down, and told at once: whoever invites can hand the link over themselves.
        """

        def make(uow: UnitOfWork) -> NewInvitation:
            return invite(uow, actor, email, grants, organization_id=organization_id)

        made: NewInvitation = await self._db.write(make)
        path = f"/invitations/{made.secret}"
        if not self.forgotten.mailer.configured:
            return made.invitation, path
        try:
            words = mail_of(made.invitation, self.forgotten.url() + path)
            await self.forgotten.mailer.send(made.invitation.email, *words)
            said = "sent"
        except Undelivered as error:
            said = str(error)
        await self._db.write(note_mail, made.invitation.id, said)
        return msgspec.structs.replace(made.invitation, mail=said), None if said == "sent" else path

    async def hash_new(self, password: str, known: Iterable[str | None]) -> str:
        """The hash of a password that is strong enough; `known` are names and addresses of its owner."""
        await asyncio.to_thread(check_password, password, tuple(known))
        return await self.hashing.make(password)

    async def _fresh(self, owner: keeping.Owner, password: str) -> str:
        """The hash of a new password."""
        if owner.stored is not None and await self.hashing.matches(owner.stored, password):
            raise Invalid("this is the password that you have; choose another", code="same-password")
        return await self.hash_new(password, owner.known)

    async def _proved(self, attempt: keeping.Attempt, password: str) -> str | None:
        """Return when the password is right: its new hash where the parameters have changed, else None."""
        if attempt.wait:
            raise locked(attempt.wait)
        if not await self.hashing.matches(attempt.stored, password):
            raise keeping.wrong_password()
        assert attempt.stored is not None
        return await self.hashing.make(password) if self.hashing.outdated(attempt.stored) else None

    def _by_code(self, uow: UnitOfWork, secret: str, code: str, browser: Browser) -> Entry | int:
        """The next step; or, for what must be written down and not be undone, seconds to wait, 0 for a wrong code."""
        pending = find_pending(uow, secret, "second-factor")
        wait = count_attempt(uow, subject_of(pending.user_id, ""))
        if wait:
            return wait
        if not check_code(uow, self.vault, pending.user_id, code):
            keeping.note_failure(uow, keeping.about(uow, pending.user_id), browser)
            return 0
        return go_on(uow, pending, browser=browser, settings=self.settings, strong=True)

    def _enrolled(
        self, uow: UnitOfWork, secret: str, code: str, name: str, browser: Browser
    ) -> tuple[Entry, list[str]] | None:
        pending = find_pending(uow, secret, "enrolment")
        if not confirm_enrolment(uow, self.vault, pending.user_id, code, name):
            return None
        codes = new_recovery_codes(uow, pending.user_id)
        return go_on(uow, pending, browser=browser, settings=self.settings, strong=True), codes


def _require_oneself(uow: UnitOfWork, actor: Actor) -> None:
    require(uow, actor, "user:set", organization_id=actor.organization_id, resource_id=actor.id)


def wrong_code() -> Unauthenticated:
    """A code that is wrong, too old, or was used before."""
    return Unauthenticated(
        "this code is not right, or was used before; wait for the next one, and check the clock of the device",
        code="wrong-code",
    )
