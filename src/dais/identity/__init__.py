"""Who there is and what they may do: organizations, the tree of accounts, users, tokens, and `require`."""

from dais.identity.actions import ACTIONS
from dais.identity.bootstrap import Bootstrapped, bootstrap
from dais.identity.commands import (
    create_account,
    create_token,
    create_user,
    grant_account,
    revoke_secret,
    revoke_token,
    touch_tokens,
)
from dais.identity.queries import (
    authenticate,
    get_account,
    get_user,
    list_accounts,
    require,
    resolve_account,
    token_holds,
    user_names,
    visible_accounts,
)
from dais.identity.types import Account, Actor, Authenticated, NewToken, User
from dais.identity.urns import urn

__all__ = [
    "ACTIONS",
    "Account",
    "Actor",
    "Authenticated",
    "Bootstrapped",
    "NewToken",
    "User",
    "authenticate",
    "bootstrap",
    "create_account",
    "create_token",
    "create_user",
    "get_account",
    "get_user",
    "grant_account",
    "list_accounts",
    "require",
    "resolve_account",
    "revoke_secret",
    "revoke_token",
    "token_holds",
    "touch_tokens",
    "urn",
    "user_names",
    "visible_accounts",
]
