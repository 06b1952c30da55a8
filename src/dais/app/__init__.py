"""The composition root: the only package that knows every part. It makes them, starts them, and stops them.

Little is imported here: root's part of a start (`privileges`, `keeper`) needs no more.
"""

from dais.kit.errors import DaisError

__all__ = ["DaisError"]
