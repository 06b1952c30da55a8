"""Making and changing identities. Every change of who may do what hints `identity`: memories of it are dropped."""
