"""The commands of whoever operates an installation: they run the platform, or look after the one of this machine."""
