"""Passkeys (WebAuthn): keys that a device or a manager keeps for one site, and uses when its owner lets it."""
