"""HTTP/1.1 between a client and an app: strict heads and chunks, and the two ends of an exchange."""
