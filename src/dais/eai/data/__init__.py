"""`eai data`: folders, their branches and their versions, by that system's names."""
