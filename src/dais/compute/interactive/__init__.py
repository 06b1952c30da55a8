"""Interactive jobs: how many there are, when they have been idle for too long, and what is in their home."""
