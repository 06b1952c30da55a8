"""Running jobs again exactly as they were."""
