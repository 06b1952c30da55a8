"""What stays of `dais up` outlives a server that ends while it is being answered."""

from __future__ import annotations

import json
import os
import socket

from dais.app.watch import Watch


def test_a_server_that_ended_before_it_was_answered_is_no_failure() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        watch = Watch(os.getpid(), ours.fileno(), -1, ["false"])
        theirs.send(json.dumps({"op": "ready"}).encode())
        theirs.close()
        assert not watch._on_request()
