"""Reaching jobs' apps through Dais: HTTP and WebSockets at origins of their own."""

from dais.proxy.callers import Callers
from dais.proxy.proxy import Proxy
from dais.proxy.settings import ProxySettings

__all__ = ["Callers", "Proxy", "ProxySettings"]
