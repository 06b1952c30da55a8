"""What engines share whose containers a node supervisor holds: the link to it, commands, and ways to reach it."""
