"""The sections of a job's page, and the frame that they are in."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from dais.web.frame import Frame
from dais.web.guard import Visitor
from dais.web.pages.log import tab_address
from dais.wire import answers

TABS = (
    ("log", "Log"),
    ("terminal", "Terminal"),
    ("apps", "Apps"),
    ("overview", "Overview"),
    ("metrics", "Metrics"),
    ("runs", "Runs"),
    ("events", "Events"),
)
"""The sections of a job's page: the value of `tab` in its address, and the word."""


def job_page(
    request: Request, frame: Frame, who: Visitor, job: answers.JobDetail, tab: str, *, status: int = 200, **values: Any
) -> Response:
    """A job's page with one of its sections; `values` are what that shows."""
    tabs = [(tab_address(job, name), word, name == tab) for name, word in TABS]
    values |= {"account": job.account, "job": job, "tab": tab, "tabs": tabs}
    return frame.page(request, "job.html", who, status=status, **values)
