"""Facades: the interfaces of other systems, whose unmodified clients work with Dais. Each translates to verbs."""
