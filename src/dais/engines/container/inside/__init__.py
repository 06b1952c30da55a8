"""Programs that run inside containers, by the interpreter that the runner kit brings. Standard library only.

They are run as files, beside a copy of `dais.node.logs`, so they import each other by their bare names.
"""
