"""The network that a job asked for, through everything between its submit and its sandbox."""

from __future__ import annotations

import json

from tests.support.installation import Installation


def test_a_job_gets_the_internet_or_is_refused_with_the_reason(shared: Installation) -> None:
    (node,) = json.loads(shared.dais("node", "ls", "--json").stdout)
    found = node["isolation"]["internet"]
    run = shared.dais("run", "--no-source", "--network", "internet", "--", "cat", "/etc/resolv.conf", "/proc/net/dev")
    if found is True:
        assert run.returncode == 0, run.stderr
        assert run.stdout.startswith(b"nameserver 192.0.0.3\n")
        links = [line.split(b":")[0].strip() for line in run.stdout.splitlines() if b": " in line]
        assert links == [b"lo", b"eth0"]
    else:
        assert run.returncode != 0
        assert found.encode() in run.stderr
