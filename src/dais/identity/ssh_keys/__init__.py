"""Public keys of users, by which they reach their jobs through SSH."""
