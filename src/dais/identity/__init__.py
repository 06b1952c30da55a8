"""Who there is and what they may do: organizations, the tree of accounts, users, tokens, and `require`."""

from dais.identity.actions import ACTIONS
from dais.identity.bootstrap import Bootstrapped, bootstrap, first_account, is_empty, recover
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
from dais.identity.secrets import new_secret
from dais.identity.sessions import (
    SESSION_SECONDS,
    SIGN_IN_LINK_SECONDS,
    Session,
    check_sign_in_link,
    create_sign_in_link,
    end_session,
    find_session,
    own_sign_in_link,
    redeem_sign_in_link,
    touch_session,
)
from dais.identity.types import Account, Actor, Authenticated, NewToken, User
from dais.identity.urns import urn

__all__ = [
    "ACTIONS",
    "SESSION_SECONDS",
    "SIGN_IN_LINK_SECONDS",
    "Account",
    "Actor",
    "Authenticated",
    "Bootstrapped",
    "NewToken",
    "Session",
    "User",
    "authenticate",
    "bootstrap",
    "check_sign_in_link",
    "create_account",
    "create_sign_in_link",
    "create_token",
    "create_user",
    "end_session",
    "find_session",
    "first_account",
    "get_account",
    "get_user",
    "grant_account",
    "is_empty",
    "list_accounts",
    "new_secret",
    "own_sign_in_link",
    "recover",
    "redeem_sign_in_link",
    "require",
    "resolve_account",
    "revoke_secret",
    "revoke_token",
    "token_holds",
    "touch_session",
    "touch_tokens",
    "urn",
    "user_names",
    "visible_accounts",
]
