"""Secrets: named values of an account, kept encrypted and given to jobs by reference."""
