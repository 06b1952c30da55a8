"""SSH into jobs with the system's own client."""
