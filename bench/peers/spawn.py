"""A bare loop that spawns a program, so many at once, in a small process of its own: `spawn.py COUNT WIDTH PROGRAM…`.

Prints how many a second it got through. Nothing is read, kept or limited: the limit for whoever starts processes.
"""

import os
import sys
import time


def loop(count: int, width: int, argv: list[str]) -> float:
    """Processes a second."""
    environment = {"PATH": "/usr/bin:/bin"}
    begun = time.monotonic()
    started = ended = 0
    while ended < count:
        while started < count and started - ended < width:
            os.posix_spawn(argv[0], argv, environment)
            started += 1
        _, status = os.waitpid(-1, 0)
        if status:
            raise SystemExit(f"{argv} ended with {status}")
        ended += 1
    return count / (time.monotonic() - begun)


if __name__ == "__main__":
    print(loop(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
