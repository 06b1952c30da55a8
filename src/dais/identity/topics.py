"""What is hinted when identities change."""

CHANGED = "identity"
"""Something changed that a permission rests on: what is remembered of permissions is dropped."""
