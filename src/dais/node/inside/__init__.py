"""Programs of ours that run inside jobs, by whatever Python is there: each file is one, and imports nothing of Dais.

They are sent as text and run by `python -I -S -c`, as the job's own user: whatever they are told may be a lie of the
job's, and whatever they say is the job's word. Python 3.8 and its standard library are all that they may count on.
"""
