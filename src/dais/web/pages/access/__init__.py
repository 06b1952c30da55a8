"""Who may do what: users, teams, roles and policies, for those who administer them and those who want to know."""
