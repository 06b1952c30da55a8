"""The pages: server-rendered, readable without JavaScript, live with it. They call the same verbs as the API."""

from dais.web.application import ALL, app

__all__ = ["ALL", "app"]
