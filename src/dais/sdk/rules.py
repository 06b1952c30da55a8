"""Rules: what somebody may do, who may do something, and what a policy would change."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dais.sdk.flow import Asynchronous, Blocking, Flow, Items, Request, Resource, listing, operation
from dais.sdk.pages import whole
from dais.sdk.policies import Subject
from dais.wire.rules import Action, Explanation, Rules, Simulation, WhoIsAllowed


class RulesApi(Resource):
    """Questions to the evaluator. A question is ACTION@URN; in the URN names may stand for ids."""

    @operation
    def held(self, subject_type: Subject | None = None, subject: str | None = None) -> Flow[Rules]:
        """Your rules, or those of a user, team or role, each with through what it is held. Raises Forbidden."""
        return (yield from self.call(Request("GET", "/v1/rules", _of(subject_type, subject)), Rules))

    @operation
    def allowed(
        self, question: str, subject_type: Subject | None = None, subject: str | None = None
    ) -> Flow[Explanation]:
        """Whether you, or a user, team or role, may do it, and which statements say so. Raises Invalid, Forbidden."""
        query = {"rule": question, **_of(subject_type, subject)}
        return (yield from self.call(Request("GET", "/v1/rules/allowed", query), Explanation))

    @operation
    def who_is_allowed(self, question: str) -> Flow[WhoIsAllowed]:
        """Who may do it, for those who may see the policies there. Raises Invalid, Forbidden."""
        return (yield from self.call(Request("GET", "/v1/rules/who-is-allowed", {"rule": question}), WhoIsAllowed))

    @listing
    def actions(self) -> Items[Action]:
        """Every action, and what it means."""
        yield from whole(self, "/v1/actions", Action)

    @operation
    def simulate(self, subject_type: Subject, subject: str, statements: Sequence[str]) -> Flow[Simulation]:
        """What attaching these statements would change; nothing is changed. Raises Invalid, NotFound, Forbidden."""
        body = msgspec.json.encode({"statements": list(statements), subject_type: subject})
        request = Request("POST", "/v1/policies/simulation", body=body, repeatable=True)
        return (yield from self.call(request, Simulation))


def _of(subject_type: Subject | None, subject: str | None) -> dict[str, str | None]:
    return {str(subject_type): subject} if subject_type is not None else {}


class RulesOf(RulesApi, Blocking):
    """Rules, blocking."""


class AsyncRulesOf(RulesApi, Asynchronous):
    """Rules, on asyncio."""
