"""Auto-provisioning: templates of jobs, profiling runs, a model of their time, and the allocation that it chooses."""
