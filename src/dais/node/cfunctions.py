"""What supervisors use of `ctypes`, without what importing it takes: a tenth of a short job's supervisor.

The classes are those of its part in C, under the names that they have in public.
"""

from __future__ import annotations

from _ctypes import (
    FUNCFLAG_CDECL,
    FUNCFLAG_USE_ERRNO,
    CFuncPtr,
    Structure,
    _SimpleCData,
    addressof,
    byref,
    dlopen,
    dlsym,
    get_errno,
    sizeof,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ctypes import c_char_p, c_int, c_long, c_size_t, c_uint, c_uint64, c_ulong, c_ushort
    from typing import Any
else:
    c_int, c_uint, c_long, c_ulong, c_ushort, c_uint64, c_char_p = (
        type(name, (_SimpleCData,), {"_type_": code, "__module__": __name__})
        for name, code in (("c_int", "i"), ("c_uint", "I"), ("c_long", "l"), ("c_ulong", "L"), ("c_ushort", "H"),
                           ("c_uint64", "Q"), ("c_char_p", "z"))
    )  # fmt: skip
    c_size_t = c_ulong

__all__ = ["Structure", "addressof", "byref", "c_char_p", "c_int", "c_long", "c_size_t", "c_uint", "c_uint64",
           "c_ulong", "c_ushort", "function", "get_errno", "sizeof"]  # fmt: skip

_libc: Any = dlopen(None, 0)  # type: ignore[arg-type]


class _Function(CFuncPtr):
    _flags_ = FUNCFLAG_CDECL | FUNCFLAG_USE_ERRNO
    _restype_ = c_int


class _LongFunction(CFuncPtr):
    _flags_ = FUNCFLAG_CDECL | FUNCFLAG_USE_ERRNO
    _restype_ = c_long


def function(name: str, *, long: bool = False) -> Any:
    """A function of the C library that answers an int, or a `long`. Raises OSError where there is none."""
    return (_LongFunction if long else _Function)(dlsym(_libc, name))
