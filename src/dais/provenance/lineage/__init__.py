"""Who made what from what."""
