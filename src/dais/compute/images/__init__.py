"""Images: what containers start from, beside the machine's own tools."""
