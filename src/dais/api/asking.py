"""What every address declares that it asks for. One that declares nothing is a TypeError where it is registered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from dais.identity import check_action


class Asking(TypedDict, total=False):
    """What is said where an address is registered; see `Asks`."""

    action: str | tuple[str, ...]
    public: str
    own: str


@dataclass(frozen=True, slots=True)
class Asks:
    """Who is answered at an address. Just one of three is given, except that `public` and `actions` go together.

    `actions`: who may do these; the verbs ask the evaluator. Of several each is for a part of the answer.
    `own`: whoever is signed in, for it concerns nothing but their own session; the text says what.
    `public`: everybody, and the text says why. With `actions` the handler itself finds out who asks.
    """

    actions: tuple[str, ...] = ()
    own: str = ""
    public: str = ""


def asks(where: str, *, action: str | tuple[str, ...] = (), public: str = "", own: str = "") -> Asks:
    """The declaration of the address `where`. Raises TypeError when it is none, ValueError for an unknown action."""
    actions = (action,) if isinstance(action, str) else action
    if not all(isinstance(reason, str) for reason in (public, own)):
        raise TypeError(f"{where}: `public` and `own` say why, in words")
    if bool(own) + bool(actions or public) != 1:
        raise TypeError(f'{where} does not say who may use it: action="type:verb", public="why" or own="what"')
    return Asks(tuple(check_action(one) for one in actions), own, public)
