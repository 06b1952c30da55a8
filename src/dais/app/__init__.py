"""The composition root: the only package that knows every part. It makes them, starts them, and stops them."""

from dais.app.build import App, build, load_settings
from dais.app.serve import Options, Ready, serve
from dais.kit.errors import DaisError

__all__ = ["App", "DaisError", "Options", "Ready", "build", "load_settings", "serve"]
