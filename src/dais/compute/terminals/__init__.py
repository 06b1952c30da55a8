"""Shells inside running jobs that the server holds, so that they outlive a page, a connection and a browser."""
