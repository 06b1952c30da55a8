"""How long logs are kept, and freeing what nothing needs any more."""
