"""`eai job`."""
