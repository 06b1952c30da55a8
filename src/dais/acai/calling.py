"""Calls of the service `credential`, which the native API has no words for."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

from dais.acai.errors import AcaiError
from dais.sdk.profiles import find_access

PATIENCE = 60.0


def post(call: str, body: dict[str, Any]) -> dict[str, Any]:
    """The answer of a call. Raises AcaiError with what the server says, OSError."""
    place = urlsplit(find_access().url)
    kind = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
    connection = kind(place.hostname or "localhost", place.port, timeout=PATIENCE)
    try:
        connection.request("POST", f"/credential/{call}", json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
    finally:
        connection.close()
    if answer.status != 200:
        raise AcaiError(text.removeprefix("RequestFailedException: "))
    found: dict[str, Any] = json.loads(text)
    return found
