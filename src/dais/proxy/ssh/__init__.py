"""The SSH gateway: shells, commands, files and ports of running jobs for OpenSSH and everything that builds on it.

Nothing need be installed in a job's image. The gateway speaks SSH with the client; inside the job it runs plain
commands, and small programs where SSH needs more (files, agents). asyncssh is imported with the first connection.
"""
