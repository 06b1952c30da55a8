"""Environments: virtual environments built once per content and shared by jobs, read-only."""
