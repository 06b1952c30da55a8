"""Commands of organizations, accounts, users, teams and roles: one file for each group."""
