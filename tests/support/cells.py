"""Running cells in a job, and looking at what they show."""

from __future__ import annotations

from typing import Any

from dais.sdk import Client
from dais.wire.code import CodeRequest, CodeResult


class Cells:
    """A job, and cells run in it by one of its kernels."""

    def __init__(self, client: Client, job: str, kernel: str = "python") -> None:
        self.client, self.job, self.kernel = client, job, kernel

    def all(self, code: str, **options: Any) -> list[CodeResult]:
        return list(self.client.code.run(self.job, code, kernel=self.kernel, **options))

    def __call__(self, code: str, **options: Any) -> list[tuple[str, Any]]:
        """The items that a cell prints, joined where they were cut."""
        items: list[tuple[str, Any]] = []
        for answer in self.all(code, **options):
            for kind, data in answer.console:
                if items and kind in ("stdout", "stderr") and items[-1][0] == kind:
                    items[-1] = (kind, items[-1][1] + data)
                else:
                    items.append((kind, data))
        return items

    def ask(self, **fields: Any) -> CodeResult:
        return self.client.code.execute(self.job, CodeRequest(**{"wait": 10.0, "kernel": self.kernel, **fields}))
