"""Signing in: from a first factor to a session, by way of whatever else is needed.

`steps` is the way itself, and what every kind of sign-in calls (`signed_in`); the other files are the factors and what
surrounds them. `desk` is what the pages and the API call: it hashes outside of transactions and counts failures.
"""
