"""Requests made from the OpenAPI document, well-formed and not: no server error, and answers as they are described."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.installation import Installation

STREAMS = r"/v1/events|/events$|/log$"
"""Answers that end when the client goes; they have tests of their own."""
NOT_CHECKED = "positive_data_acceptance"
"""A name that fits the schema need not be there: 404 is right."""


@pytest.mark.slow
def test_no_request_makes_the_server_fail(shared: Installation, tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{shared.url}/v1/openapi.json"),
        *("--header", f"Authorization: Bearer {shared.token}"),
        *("--checks", "all", "--exclude-checks", NOT_CHECKED, "--continue-on-failure"),
        *("--exclude-path-regex", STREAMS, "--request-timeout", "30", "--warnings", "off", "--no-color"),
        *("--max-examples", os.environ.get("FUZZ_EXAMPLES", "10"), "--seed", "1"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "Operations:" in done.stdout
    assert shared.is_well()
