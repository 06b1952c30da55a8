"""The REST paths of the Element AI Toolkit: jobs in its words, `/v1/job/{id}` and those beside it."""

from dais.api.compat.eai.application import EaiApplication

__all__ = ["EaiApplication"]
