"""Which of the accepted containers may start: those for whose slots there is room, in the order of their coming.

The server may hand over more than fits, so that a slot that is given back is taken at once, without asking. A launch
names the slots that it takes (none: it takes no part in this), and with each frame comes how many there are.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dais.node.spec import LaunchSpec


class Slots:
    """Slots in use, in thousandths of a core and bytes."""

    def __init__(self) -> None:
        self._cpu = self._memory = 0
        self._cpu_used = self._memory_used = 0
        self._holders: dict[str, tuple[int, int]] = {}
        self.full = False
        """Whether the next in line has been told to wait, and nothing has been given back since."""

    def resize(self, cpu: int, memory: int) -> None:
        """This is how many there are."""
        self._cpu, self._memory = cpu, memory
        self.full = False

    def take(self, spec: LaunchSpec) -> bool:
        """Take a container's slots; False, with nothing taken, while it must wait. It never waits for nobody."""
        cpu, memory = spec.slots
        fits = self._cpu_used + cpu <= self._cpu and self._memory_used + memory <= self._memory
        if (cpu or memory) and self._holders and not fits:
            self.full = True
            return False
        if cpu or memory:
            self._holders[spec.attempt_id] = cpu, memory
            self._cpu_used += cpu
            self._memory_used += memory
        return True

    def give_back(self, attempt_id: str) -> None:
        """A container has ended; one that was still waiting makes way for the next in line."""
        self.full = False
        held = self._holders.pop(attempt_id, None)
        if held is not None:
            self._cpu_used -= held[0]
            self._memory_used -= held[1]
