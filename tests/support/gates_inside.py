"""How the addresses are called that reach into running jobs; a part of the table in `gates`."""

from __future__ import annotations

from tests.support.calls import Call

ACCOUNT = "?account={account}"

JOB_PAGE = "/{organization}/{account}/jobs/{ref}"

INSIDE_PAGES: dict[str, Call] = {
    "GET /settings/ssh-keys": Call(own=True),
    "POST /settings/ssh-keys": Call(own=True),
    "POST /settings/ssh-keys/{id}/remove": Call(own=True),
    f"POST {JOB_PAGE}/apps": Call(body={"app": "8080"}, needs="account:get job:get job:exec"),
    f"GET {JOB_PAGE}/expose": Call(query="?port=8080", needs="account:get job:get"),
    f"POST {JOB_PAGE}/expose": Call(body={"port": "8080", "public": "yes"}, needs="account:get job:get"),
}
"""The pages of the same."""

INSIDE: dict[str, Call | list[Call]] = {
    "GET /v1/jobs/{ref}/address": Call(),
    "GET /v1/jobs/{ref}/apps": Call(),
    "GET /v1/jobs/{ref}/apps/{name}/log": Call(),
    "POST /v1/jobs/{ref}/apps/{name}": Call(),
    "POST /v1/code-sessions": Call(query=ACCOUNT, body={}, needs="account:get group:get job:list job:get"),
    "GET /v1/jobs/{ref}/code": Call(),
    "POST /v1/jobs/{ref}/code": Call(body={"code": "1"}),
    "POST /v1/jobs/{ref}/code/complete": Call(body={"code": "1"}),
    "GET /v1/jobs/{ref}/code/download": Call(query="?path=a"),
    "DELETE /v1/jobs/{ref}/code/files": Call(query="?path=a"),
    "GET /v1/jobs/{ref}/code/files": Call(),
    "POST /v1/jobs/{ref}/code/files": Call(body={"files": [{"path": "a", "data": ""}]}),
    "POST /v1/jobs/{ref}/code/interrupt": Call(),
    "POST /v1/jobs/{ref}/code/restart": Call(body={}),
    "WEBSOCKET /v1/jobs/{ref}/code/stream": Call(),
    "POST /v1/jobs/{ref}/expose": Call(body={"port": 8080}),
    "WEBSOCKET /v1/jobs/{ref}/exec": Call(),
    "WEBSOCKET /v1/jobs/{ref}/terminal": Call(),
    "GET /v1/jobs/{ref}/terminals": Call(),
    "DELETE /v1/jobs/{ref}/terminals/{id}": Call(),
}
