"""A machine with GPUs that it has not: a stand-in for NVIDIA's library, compiled here, and device nodes."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

from tests.support.needs import needs_program

SOURCE = Path(__file__).with_name("nvml.c")
ZERO, FULL, NULL = (1, 5), (1, 7), (1, 3)
"""What the nodes really are: devices that every machine has and that tell themselves apart."""


class FakeDriver:
    """`library` is loaded by the real bindings; what it tells stands in a file that a test may change."""

    def __init__(self, directory: Path) -> None:
        compiler = needs_program("gcc")
        directory.mkdir(parents=True, exist_ok=True)
        self.library = directory / "libnvidia-ml.so.1"
        self.file = directory / "gpus"
        self.devices = directory / "dev"
        self.devices.mkdir()
        define = f'-DNVML_FILE="{self.file}"'
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-O1", define, "-o", self.library, SOURCE], check=True, timeout=60
        )

    def tell(self, *lines: str) -> None:
        """UUID MINOR MEMORY USED UTILIZATION each; or `error N`; or `crash`."""
        self.file.write_text("".join(f"{line}\n" for line in lines))

    def make_nodes(self, *names: str) -> None:
        """Character devices of these names: nvidia0 is full of zeros, nvidia1 is always full, all others are null."""
        kinds = {"nvidia0": ZERO, "nvidia1": FULL}
        for name in names:
            os.mknod(self.devices / name, stat.S_IFCHR | 0o666, os.makedev(*kinds.get(name, NULL)))
            (self.devices / name).chmod(0o666)

    def make_files(self, *names: str) -> None:
        """Plain files in the nodes' place, for who may not make nodes."""
        for name in names:
            (self.devices / name).touch()
