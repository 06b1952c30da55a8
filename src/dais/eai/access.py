"""Organizations, accounts, users, teams, roles and rules: the commands of `dais`, whose names are that system's."""

from __future__ import annotations

import click

from dais.cli.identity.account import account as _account
from dais.cli.identity.organization import organization as _organization
from dais.cli.identity.role import role as _role
from dais.cli.identity.rule import allowed as _allowed
from dais.cli.identity.rule import rule as _rule
from dais.cli.identity.rule import who_is_allowed as _who_is_allowed
from dais.cli.identity.team import team as _team
from dais.cli.identity.user import user as _user
from dais.eai.words import adopted

organization: click.Command = adopted(_organization)
account: click.Command = adopted(_account)
user: click.Command = adopted(_user)
team: click.Command = adopted(_team)
role: click.Command = adopted(_role)
rule: click.Command = adopted(_rule)
allowed: click.Command = adopted(_allowed)
who_is_allowed: click.Command = adopted(_who_is_allowed)
