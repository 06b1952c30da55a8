"""Telling people and programs that a job has ended: by webhook and by mail."""
