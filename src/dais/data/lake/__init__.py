"""The data lake: versioned files and file sets."""
