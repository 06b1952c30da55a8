"""What running jobs report of themselves: metrics, key-values, tags, progress."""
