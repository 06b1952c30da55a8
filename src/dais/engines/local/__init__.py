"""The local engine: containers on this machine, held by the node supervisor, which outlives the server."""

from dais.engines.local.engine import LocalEngine
from dais.engines.local.interpreter import Interpreter, NoInterpreter, find_interpreter
from dais.engines.local.settings import LocalSettings
from dais.engines.local.users import data_owner, leasing
from dais.engines.supervised.connector import SupervisorUnreachable
from dais.engines.supervised.seccomp import filter_program

__all__ = [
    "Interpreter",
    "LocalEngine",
    "LocalSettings",
    "NoInterpreter",
    "SupervisorUnreachable",
    "data_owner",
    "filter_program",
    "find_interpreter",
    "leasing",
]
