"""How each address is called on a real thing: the table of the test that walks through every gate.

An address that is missing here fails `tests/architecture/test_gates.py`. What a path names is filled in from the things
that the walk makes (`things`); so are the `{words}` in bodies.
"""

from __future__ import annotations

from tests.support.calls import EVERYTHING, Call
from tests.support.gates_inside import ACCOUNT, INSIDE, INSIDE_PAGES

SPEC = {"command": ["true"], "account": "{account}", "resources": {"cpu": 0.1, "mem": 1 << 20}}
NAMED = "account:get"
BOX = "?group=boxes&account={account}"
BOXED = "?group=boxes"
SEEN_BOX = "account:get image:get"
KINDS = (
    ("file", "file"), ("fileset", "fileset"), ("folder", "data"), ("job", "job"), ("image", "image"), ("user", "user"),
)  # fmt: skip
THINGS = {
    "file": "/d{n}/a",
    "fileset": "{fileset}",
    "folder": "{folder}",
    "job": "{job}",
    "image": "{box}",
    "user": "{user}",
}
FOUND = [
    Call(action=f"{kind}:get", body={"kind": name, "account": "{account}"}, needs=NAMED, shown=False)
    for name, kind in KINDS
]
GRANT = {"statements": ["{action}@{org}:team:*"]}


CALLS: dict[str, Call | list[Call]] = {
    **INSIDE,
    "GET /metrics": Call(),
    "GET /v1/accounts": Call(),
    "POST /v1/accounts": Call(body={"name": "n{n}", "parent": "{org}"}, needs="organization:get"),
    "GET /v1/accounts/{ref}": Call(),
    "PATCH /v1/accounts/{ref}": [
        Call(action="account:set", body={"name": "x{n}"}, needs=NAMED),
        Call(action="installation:set", body={"log_days": 3}, needs=NAMED),
    ],
    "POST /v1/blobs/missing": Call(own=True, body={"digests": []}),
    "POST /v1/blobs/pack": Call(own=True, raw=b""),
    "PUT /v1/blobs/{digest}": Call(own=True, query="?size=1", raw=b"x"),
    "POST /v1/contents": Call(own=True, body={"digest": "{digest}", "size": 1, "chunks": [["{digest}", 1]]}),
    "POST /v1/contents/bulk": Call(own=True),
    "POST /v1/contents/missing": Call(own=True, body={"digests": []}),
    "POST /v1/contents/pack": Call(own=True, raw=b""),
    "PUT /v1/contents/{digest}": Call(own=True, query="?size=1", raw=b"x"),
    "GET /v1/environments": Call(inside=True),
    "GET /v1/environments/{id}": Call(inside=True),
    "GET /v1/environments/{id}/log": Call(inside=True),
    "DELETE /v1/environments/{id}": Call(),
    "GET /v1/events": Call(shown=False),
    "GET /v1/files": Call(query=f"{ACCOUNT}&path=/d{{n}}/", needs=NAMED),
    "POST /v1/files": Call(
        body={"account": "{account}", "files": [{"path": "/n{n}", "digest": "{digest}", "size": 1}]}, needs=NAMED
    ),
    "DELETE /v1/files": Call(query=f"{ACCOUNT}&path=/e{{n}}/a", needs=NAMED),
    "GET /v1/files/content": Call(query=f"{ACCOUNT}&path=/d{{n}}/a", needs=NAMED),
    "POST /v1/files/fetch": Call(body={"account": "{account}", "files": ["/d{n}/a"]}, needs=NAMED),
    "POST /v1/files/resolve": Call(body={"account": "{account}", "files": ["/d{n}/a"]}, needs=NAMED),
    "GET /v1/files/versions": Call(query=f"{ACCOUNT}&path=/d{{n}}/a", needs=NAMED),
    "GET /v1/find": [
        Call(action=f"{kind}:get", query=f"{ACCOUNT}&kind={name}", needs=NAMED, shown=False) for name, kind in KINDS
    ],
    "POST /v1/find": FOUND,
    "POST /v1/find/count": FOUND,
    "GET /v1/meta": [
        Call(action=f"{kind}:get", query=f"{ACCOUNT}&kind={name}&ref={THINGS[name]}", needs=NAMED)
        for name, kind in KINDS
    ],
    "PATCH /v1/meta": [
        Call(
            action=f"{kind}:set",
            query=f"{ACCOUNT}&kind={name}&ref={THINGS[name]}",
            body={"values": {"a": 1}},
            needs=f"{NAMED} {kind}:get",
        )
        for name, kind in KINDS
    ],
    "DELETE /v1/meta": [
        Call(action=f"{kind}:set", query=f"{ACCOUNT}&kind={name}&ref={THINGS[name]}&key=a", needs=NAMED)
        for name, kind in KINDS
    ],
    "GET /v1/filesets": Call(query=ACCOUNT, needs=NAMED),
    "POST /v1/filesets": [
        Call(
            action="fileset:new",
            body={"account": "{account}", "name": "n{n}", "entities": ["/d{n}/"]},
            needs=f"{NAMED} file:get",
        ),
        Call(
            action="file:get",
            body={"account": "{account}", "name": "n{n}", "entities": ["/d{n}/"]},
            needs=f"{NAMED} fileset:new",
        ),
        Call(
            action="fileset:get",
            body={"account": "{account}", "name": "n{n}", "entities": ["@{fileset}"]},
            needs=f"{NAMED} fileset:new file:get",
        ),
    ],
    "GET /v1/filesets/{name}": Call(query=ACCOUNT, needs=NAMED),
    "DELETE /v1/filesets/{name}": Call(query=ACCOUNT, needs=NAMED),
    "GET /v1/filesets/{name}/diff": Call(query=f"{ACCOUNT}&to={{fileset}}", needs=NAMED),
    "GET /v1/filesets/{name}/files": Call(query=ACCOUNT, needs=NAMED),
    "GET /v1/filesets/{name}/versions": Call(query=ACCOUNT, needs=NAMED),
    "GET /v1/folders": Call(),
    "POST /v1/folders": Call(body={"name": "n{n}", "account": "{account}"}, needs=NAMED),
    "GET /v1/folders/{ref}": Call(),
    "DELETE /v1/folders/{ref}": Call(),
    "POST /v1/folders/{ref}/compare": Call(body={"files": []}),
    "POST /v1/folders/{ref}/directories": Call(body={"path": "d{n}"}),
    "GET /v1/folders/{ref}/entries": Call(),
    "DELETE /v1/folders/{ref}/entries": Call(query="?path=a.txt"),
    "POST /v1/folders/{ref}/fetch": Call(body={"paths": ["a.txt"]}),
    "GET /v1/folders/{ref}/file": Call(query="?path=a.txt"),
    "PUT /v1/folders/{ref}/file": Call(query="?path=b.txt&size=1&digest={digest}", raw=b"x"),
    "POST /v1/folders/{ref}/move": Call(body={"source": "a.txt", "target": "m{n}"}),
    "POST /v1/folders/{ref}/pack": Call(raw=b""),
    "POST /v1/folders/{ref}/publish": Call(),
    "POST /v1/folders/{ref}/uploads": Call(body={"path": "u{n}", "size": 1 << 20, "name": "u{n}"}),
    "DELETE /v1/folders/{ref}/uploads/{name}": Call(query="?path=u&size=1"),
    "GET /v1/groups": Call(own=True),
    "POST /v1/groups": Call(body={"engine": "nowhere", "name": "n{n}"}),
    "POST /v1/groups/check": Call(body={"engine": "nowhere", "name": "n{n}"}),
    "GET /v1/groups/{name}": Call(own=True),
    "PATCH /v1/groups/{name}": Call(seen=True, body={"default_image": "host"}, needs="group:get"),
    "DELETE /v1/groups/{name}": Call(seen=True),
    "GET /v1/images": Call(own=True),
    "GET /v1/identity-providers": Call(),
    "POST /v1/identity-providers": Call(
        body={"name": "n{n}", "issuer": "https://n{n}.example.org", "client_id": "x", "organization": "{org}"},
        needs="organization:get",
    ),
    "DELETE /v1/identity-providers/{name}": Call(),
    "POST /v1/images": Call(body={"name": "n{n}", "path": "/nowhere"}),
    "GET /v1/images/{name}": Call(own=True),
    "DELETE /v1/images/{name}": Call(seen=True),
    "POST /v1/images/rescan": Call(query="?group=boxes"),
    "POST /v1/images/build": Call(
        body={"name": "n{n}", "source": "{digest}", "group": "boxes", "account": "{account}"}, needs=NAMED
    ),
    "POST /v1/images/{name}/pull": Call(of="box", query=BOX, needs=SEEN_BOX),
    "GET /v1/images/{name}/progress": Call(of="box", query=BOX, needs=NAMED),
    "GET /v1/images/{name}/log": Call(of="box", query=BOX, needs=NAMED),
    "POST /v1/images/{name}/aliases": Call(of="box", query=BOX, body={"alias": "a{n}"}, needs=SEEN_BOX),
    "DELETE /v1/images/{name}/aliases/{alias}": Call(of="box", query=BOX, needs=SEEN_BOX),
    "POST /v1/images/{name}/import": Call(of="box", query=BOX, body={"name": "m{n}"}, needs=SEEN_BOX),
    "GET /v1/invitations": Call(),
    "POST /v1/invitations": Call(body={"email": "n{n}@example.org", "organization": "{org}"}, needs="organization:get"),
    "DELETE /v1/invitations/{id}": Call(),
    "GET /v1/jobs": Call(),
    "POST /v1/jobs": Call(body=SPEC, needs="account:get group:get"),
    "GET /v1/jobs/{ref}": Call(),
    "PATCH /v1/jobs/{ref}": Call(body={"tags": {"a": "b"}}, needs="job:get"),
    "DELETE /v1/jobs/{ref}": Call(),
    "POST /v1/jobs/{ref}/commit": Call(body={"name": "n{n}"}),
    "GET /v1/jobs/{ref}/events": Call(),
    "POST /v1/jobs/{ref}/kill": Call(needs="job:get"),
    "GET /v1/jobs/{ref}/logs": Call(),
    "GET /v1/jobs/{ref}/logs/stream": Call(),
    "GET /v1/jobs/{ref}/partial": Call(),
    "GET /v1/jobs/{ref}/metrics": Call(),
    "WEBSOCKET /v1/jobs/{ref}/ports/{port}": Call(),
    "POST /v1/jobs/{ref}/retry": Call(needs="job:get group:get"),
    "POST /v1/jobs/{ref}/reproduce": Call(body={}, needs="job:get group:get"),
    "GET /v1/jobs/{ref}/reproduction": Call(),
    "GET /v1/jobs/{ref}/trace": Call(),
    "GET /v1/jobs/{ref}/usage": Call(),
    "DELETE /v1/keys/{id}": [
        Call(action="token:rm", of="user_key", needs=EVERYTHING),
        Call(action="role:set", of="role_key", needs=EVERYTHING),
    ],
    "GET /v1/nodes": Call(own=True),
    "GET /v1/notify": Call(own=True),
    "PUT /v1/notify": Call(own=True, body={"targets": []}),
    "POST /v1/notify/secret": Call(own=True),
    "GET /v1/organizations": Call(inside=True),
    "GET /v1/organizations/{name}/registries": Call(inside=True),
    "PUT /v1/organizations/{name}/registries": Call(body={"hosts": []}, needs="organization:get"),
    "GET /v1/registries": Call(),
    "POST /v1/registries": Call(body={"host": "n{n}.example.org"}),
    "PATCH /v1/registries/{host}": Call(body={"insecure": True}, seen=True),
    "DELETE /v1/registries/{host}": Call(seen=True),
    "POST /v1/registries/{host}/check": Call(seen=True),
    "POST /v1/registries/{host}/rescan": Call(query="?group=boxes", seen=True, needs="image:new"),
    "POST /v1/organizations": Call(body={"name": "n{n}"}),
    "GET /v1/organizations/{ref}": Call(inside=True),
    "PATCH /v1/organizations/{ref}": Call(body={"name": "local"}, needs="organization:get"),
    "DELETE /v1/policies/{id}": [
        Call(action="policy:rm", needs=EVERYTHING),
        Call(action="role:set", of="role_policy", needs=EVERYTHING),
    ],
    "POST /v1/policies/simulation": [
        Call(action="policy:list", body={"statements": ["job:get@{org}:*"], "user": "{user}"}, needs=EVERYTHING),
        Call(
            action="role:get", body={"statements": ["job:get@{org}:*"], "role": "{role}"}, needs=EVERYTHING, inside=True
        ),
    ],
    "GET /v1/rules/who-is-allowed": Call(query="?rule=job:get@{org}:account:{account}:job:{job}", needs=EVERYTHING),
    "GET /v1/roles": Call(inside=True),
    "POST /v1/roles": Call(body={"name": "local.n{n}"}, needs="organization:get"),
    "GET /v1/roles/{ref}": Call(inside=True),
    "PATCH /v1/roles/{ref}": Call(body={"name": "x{n}"}, needs="role:get"),
    "DELETE /v1/roles/{ref}": Call(needs="role:get"),
    "GET /v1/roles/{ref}/keys": Call(inside=True),
    "POST /v1/roles/{ref}/keys": Call(body={}, needs=EVERYTHING),
    "GET /v1/roles/{ref}/members": Call(inside=True),
    "POST /v1/roles/{ref}/members": Call(body={"user": "{user}"}, needs=EVERYTHING),
    "DELETE /v1/roles/{ref}/members": Call(query="?user={user}", needs="role:get user:get"),
    "GET /v1/roles/{ref}/policies": Call(inside=True),
    "POST /v1/roles/{ref}/policies": Call(body=GRANT, needs="role:get"),
    "GET /v1/secrets": Call(),
    "POST /v1/secrets/rotate-key": Call(),
    "GET /v1/secrets/{name}": Call(query=ACCOUNT, needs=NAMED),
    "PUT /v1/secrets/{name}": Call(query=ACCOUNT, body={"value": "v"}, needs=NAMED),
    "DELETE /v1/secrets/{name}": Call(query=ACCOUNT, needs=NAMED),
    "POST /v1/sign-in-links": Call(own=True, whole=True),
    "POST /v1/sources": Call(own=True, body={"files": []}),
    "GET /v1/teams": Call(inside=True),
    "POST /v1/teams": Call(body={"name": "local.n{n}"}, needs="organization:get"),
    "GET /v1/teams/{ref}": Call(inside=True),
    "PATCH /v1/teams/{ref}": Call(body={"name": "x{n}"}, needs="team:get"),
    "DELETE /v1/teams/{ref}": Call(needs="team:get"),
    "GET /v1/teams/{ref}/members": Call(inside=True),
    "POST /v1/teams/{ref}/members": Call(body={"user": "{user}"}, needs="team:get user:get"),
    "DELETE /v1/teams/{ref}/members": Call(query="?user={user}", needs="team:get user:get"),
    "GET /v1/teams/{ref}/policies": Call(needs="team:get"),
    "POST /v1/teams/{ref}/policies": Call(body=GRANT, needs="team:get"),
    "GET /v1/templates": Call(query=ACCOUNT, needs=NAMED),
    "POST /v1/templates": Call(
        body={"name": "n{n}", "spec": SPEC, "cpu": [0.1], "mem": [4 << 20]}, needs=f"{NAMED} group:get"
    ),
    "GET /v1/templates/{ref}": Call(),
    "DELETE /v1/templates/{ref}": Call(),
    "POST /v1/templates/{ref}/cancel": Call(action="job:kill", needs="job:get"),
    "POST /v1/templates/{ref}/jobs": Call(body={"parameters": {}}, needs=f"{NAMED} job:get group:get"),
    "POST /v1/templates/{ref}/predict": Call(body={"parameters": {}}),
    "GET /v1/trace": [
        Call(action="fileset:get", query=f"{ACCOUNT}&ref={{fileset}}", needs=NAMED),
        Call(action="file:get", query=f"{ACCOUNT}&ref=/d{{n}}/a", needs=NAMED),
    ],
    "GET /v1/users": Call(inside=True),
    "POST /v1/users": Call(body={"name": "n{n}", "organization": "{org}"}, needs="organization:get"),
    "GET /v1/users/{ref}": Call(inside=True),
    "PATCH /v1/users/{ref}": Call(body={"full_name": "N"}, needs=EVERYTHING),
    "POST /v1/users/{ref}/disable": Call(needs=EVERYTHING),
    "POST /v1/users/{ref}/enable": Call(needs=EVERYTHING),
    "DELETE /v1/ssh-keys/{ref}": Call(needs=EVERYTHING),
    "GET /v1/users/{ref}/ssh-keys": Call(needs="user:get"),
    "POST /v1/users/{ref}/ssh-keys": Call(body={"public": "{new_ssh_key}"}, needs=EVERYTHING, whole=True),
    "GET /v1/users/{ref}/keys": Call(needs="user:get"),
    "POST /v1/users/{ref}/keys": Call(body={}, needs=EVERYTHING),
    "PUT /v1/users/{ref}/password": Call(body={"password": "correct horse battery"}, needs=EVERYTHING),
    "DELETE /v1/users/{ref}/second-factors": Call(needs=EVERYTHING),
    "GET /v1/users/{ref}/policies": Call(needs="user:get"),
    "POST /v1/users/{ref}/policies": Call(body=GRANT, needs="user:get"),
}
"""The routes of the API."""

JOB = "account:get job:get"
PAGES: dict[str, Call] = {
    **INSIDE_PAGES,
    "GET /access/audit": Call(),
    "GET /access/invitations": Call(),
    "POST /access/invitations": Call(
        apart=True, body={"email": "p{n}@example.org"}, needs="invitation:list organization:get"
    ),
    "POST /access/invitations/{id}/take-back": Call(),
    "POST /access/policies/{id}/remove": Call(needs=EVERYTHING),
    "GET /access/roles": Call(inside=True),
    "POST /access/roles": Call(apart=True, body={"name": "n{n}"}, needs="organization:get"),
    "GET /access/roles/{id}": Call(inside=True),
    "POST /access/roles/{id}/keys": Call(needs=EVERYTHING),
    "POST /access/roles/{id}/keys/{key}/end": Call(needs=EVERYTHING),
    "POST /access/roles/{id}/members": Call(body={"member": "{user}"}, needs=EVERYTHING),
    "POST /access/roles/{id}/members/remove": Call(body={"type": "user", "id": "{user}"}, needs=EVERYTHING),
    "POST /access/roles/{id}/policies": Call(body={"statements": "team:get@{org}:team:*"}, needs=EVERYTHING),
    "POST /access/roles/{id}/remove": Call(body={"confirm": "r{n}"}, needs="role:get"),
    "GET /access/teams": Call(inside=True),
    "POST /access/teams": Call(apart=True, body={"name": "n{n}"}, needs="organization:get"),
    "GET /access/teams/{id}": Call(inside=True),
    "POST /access/teams/{id}": Call(body={"name": "x{n}"}, needs="team:get"),
    "POST /access/teams/{id}/members": Call(body={"member": "{user}"}, needs=EVERYTHING),
    "POST /access/teams/{id}/members/remove": Call(body={"type": "user", "id": "{user}"}, needs=EVERYTHING),
    "POST /access/teams/{id}/policies": Call(body={"statements": "team:get@{org}:team:*"}, needs=EVERYTHING),
    "POST /access/teams/{id}/remove": Call(body={"confirm": "t{n}"}, needs="team:get"),
    "GET /access/users": Call(inside=True),
    "GET /access/users/new": Call(apart=True, needs="organization:get"),
    "POST /access/users/new": Call(apart=True, body={"email": "q{n}@example.org"}, needs="organization:get user:get"),
    "GET /access/users/{id}": Call(inside=True),
    "POST /access/users/{id}": Call(body={"full_name": "N", "email": "r{n}@example.org"}, needs=EVERYTHING),
    "POST /access/users/{id}/disable": Call(needs=EVERYTHING),
    "POST /access/users/{id}/enable": Call(needs=EVERYTHING),
    "POST /access/users/{id}/policies": Call(body={"statements": "team:get@{org}:team:*"}, needs=EVERYTHING),
    "POST /access/users/{id}/tokens/{token_id}/end": Call(needs=EVERYTHING),
    "GET /cluster": Call(own=True),
    "GET /cluster/attach": Call(),
    "POST /cluster/attach": Call(body={"engine": "fake", "name": "n{n}", "options": "machine=far"}),
    "GET /cluster/groups/{name}": Call(own=True),
    "POST /cluster/groups/{name}": Call(seen=True, body={"default_image": "host"}, needs="group:get"),
    "POST /cluster/groups/{name}/detach": Call(seen=True, body={"confirm": "{group}"}, needs="group:get"),
    "GET /device": Call(own=True),
    "POST /device": Call(own=True),
    "GET /files": Call(own=True),
    "GET /filesets": Call(own=True),
    "GET /find": Call(own=True),
    "GET /folders": Call(own=True),
    "GET /folders/new": Call(own=True),
    "POST /folders/new": Call(body={"name": "n{n}", "account": "{account}"}, needs="account:get data:get"),
    "GET /folders/sizes": Call(own=True),
    "GET /folders/{ref}": Call(),
    "GET /jobs": Call(own=True),
    "GET /jobs/{ref}": Call(),
    "GET /jobs/{ref}/{part}": Call(),
    "GET /open/{label}": Call(),
    "GET /open/{ref}/{target}": Call(),
    "WEBSOCKET /live": Call(own=True),
    "WEBSOCKET /shell": Call(),
    "GET /images": Call(own=True),
    "GET /images/new": Call(own=True),
    "POST /images/new": Call(
        body={"what": "b{n}:2", "group": "boxes", "account": "{account}"}, needs="account:get group:get image:get"
    ),
    "GET /images/build": Call(own=True),
    "POST /images/build": Call(
        body={"name": "n{n}", "dockerfile": "FROM b{n}", "group": "boxes", "account": "{account}"}, needs=NAMED
    ),
    "POST /images/rescan": Call(body={"group": "boxes"}),
    "GET /images/{name}": Call(of="box", query=BOXED, needs=NAMED),
    "GET /images/{name}/log": Call(of="box", query=BOXED, needs=NAMED),
    "POST /images/{name}/pull": Call(of="box", query=BOXED, needs=SEEN_BOX),
    "POST /images/{name}/aliases": Call(of="box", query=BOXED, body={"alias": "a{n}"}, needs=SEEN_BOX),
    "POST /images/{name}/import": Call(
        of="box", query=BOXED, body={"name": "m{n}", "account": "{account}"}, needs=SEEN_BOX
    ),
    "POST /images/{name}/remove": Call(of="box", query=BOXED, body={"confirm": "b{n}"}, needs=SEEN_BOX),
    "GET /registries": Call(),
    "POST /registries": Call(body={"host": "s{n}.example.org"}, needs="installation:get"),
    "POST /registries/allowed": Call(body={"organization": "{org}"}, needs=EVERYTHING),
    "GET /registries/{host}": Call(),
    "POST /registries/{host}": Call(body={"kind": "harbor"}, needs="installation:get"),
    "POST /registries/{host}/test": Call(needs="installation:get"),
    "POST /registries/{host}/rescan": Call(body={"group": "boxes"}, needs=EVERYTHING),
    "POST /registries/{host}/remove": Call(body={"confirm": "{registry}"}, needs="installation:get"),
    "GET /palette": Call(own=True),
    "GET /settings/keys": Call(own=True),
    "POST /settings/keys": Call(own=True),
    "POST /settings/keys/{id}/end": Call(own=True),
    "GET /submit": Call(own=True),
    "POST /submit": Call(
        body={"command": "true", "account": "{account}", "do": "submit"}, needs="account:get group:get"
    ),
    "POST /submit/check": Call(own=True),
    "POST /uploads/{folder}/compare": Call(body={"files": []}),
    "PUT /uploads/{folder}/file": Call(query="?path=b.txt&size=1&digest={digest}", raw=b"x"),
    "POST /uploads/{folder}/pack": Call(raw=b""),
    "GET /{organization}/{account}/files": Call(query="?path=/d{n}/a", needs="account:get"),
    "GET /{organization}/{account}/files/content": Call(query="?path=/d{n}/a", needs="account:get"),
    "GET /{organization}/{account}/find": Call(query="?q=", needs="account:get"),
    "POST /{organization}/{account}/meta": Call(
        body={"kind": "fileset", "ref": "{fileset}", "words": "a=1", "back": "/"}, needs="account:get fileset:get"
    ),
    "GET /{organization}/{account}/filesets": Call(needs="account:get"),
    "GET /{organization}/{account}/filesets/{name}": Call(needs="account:get"),
    "GET /{organization}/{account}/filesets/{name}/lineage": Call(needs="account:get"),
    "GET /{organization}/{account}/folders": Call(needs="account:get"),
    "GET /{organization}/{account}/folders/{name}": Call(needs="account:get"),
    "POST /{organization}/{account}/folders/{name}": Call(
        body={"do": "directory", "name": "d{n}"}, needs="account:get data:get"
    ),
    "GET /{organization}/{account}/folders/{name}/{path:below}": Call(needs="account:get"),
    "POST /{organization}/{account}/folders/{name}/{path:below}": Call(
        body={"do": "directory", "name": "d{n}"}, needs="account:get data:get"
    ),
    "GET /{organization}/{account}/jobs": Call(needs="account:get"),
    "GET /{organization}/{account}/jobs/{ref}": Call(needs="account:get job:logs"),
    "GET /{organization}/{account}/jobs/{ref}/commit": Call(needs=JOB),
    "POST /{organization}/{account}/jobs/{ref}/commit": Call(body={"name": "c{n}"}, needs=JOB),
    "GET /{organization}/{account}/jobs/{ref}/kill": Call(needs=JOB),
    "POST /{organization}/{account}/jobs/{ref}/kill": Call(needs=JOB),
    "GET /templates": Call(),
    "GET /{organization}/{account}/templates": Call(needs="account:get"),
    "GET /{organization}/{account}/templates/{ref}": Call(needs="account:get"),
    "POST /{organization}/{account}/templates/{ref}": Call(body={}, needs=f"{NAMED} account:get job:get group:get"),
    "GET /{organization}/{account}/jobs/{ref}/lineage": Call(needs="account:get"),
    "GET /{organization}/{account}/jobs/{ref}/log": Call(needs=JOB),
    "GET /{organization}/{account}/jobs/{ref}/log/at": Call(query="?time=12:00", needs=JOB),
    "GET /{organization}/{account}/jobs/{ref}/log/lines": Call(needs=JOB),
    "GET /{organization}/{account}/jobs/{ref}/log/search": Call(query="?q=x", needs=JOB),
    "POST /{organization}/{account}/jobs/{ref}/reproduce": Call(needs=f"{JOB} group:get"),
    "POST /{organization}/{account}/jobs/{ref}/retry": Call(needs=f"{JOB} group:get"),
}
"""The pages, as browsers ask for them; a body is a form, or JSON below `/uploads`."""
