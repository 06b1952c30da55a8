"""Apps: network services inside running jobs, started on first use."""
