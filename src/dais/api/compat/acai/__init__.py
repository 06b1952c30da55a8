"""The services of ACAI (CMU), as its public SDK calls them: `http://HOST:PORT/SERVICE/CALL`."""

from dais.api.compat.acai.application import AcaiApplication

__all__ = ["AcaiApplication"]
