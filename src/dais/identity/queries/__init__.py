"""Reading identities: who there is, by ids and names."""
