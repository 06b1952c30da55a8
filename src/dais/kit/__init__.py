"""What every part stands on: database, errors, ids, time, settings. Knows nothing of jobs or files."""
