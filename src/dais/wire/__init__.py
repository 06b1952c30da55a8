"""What users write and the native API carries. msgspec and the standard library only."""
