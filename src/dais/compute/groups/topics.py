"""What is hinted when groups and their nodes change: what is remembered of them is dropped."""

GROUPS = "groups"
"""Hinted when a group was attached, changed or detached, or its engine went or came back."""
NODES = "nodes"
"""What machines there are has changed, or what is known of one."""
