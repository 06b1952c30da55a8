"""Tags and typed key-values on any entity, and queries over them."""
