"""Signing a machine in from a browser elsewhere (RFC 8628): it shows a code, and a person confirms it in the pages."""
