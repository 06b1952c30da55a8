"""The apps of jobs, reached through a real server: who gets in, how, and what either side learns of the other."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator

import pytest

from dais.wire.answers import JobDetail
from tests.support.installation import Installation, installation
from tests.support.reaching import Browser, Door, door, read_all, read_until, run_app, seen_headers
from tests.support.supervisor import until


@pytest.fixture(scope="module")
def web(shared: Installation) -> JobDetail:
    return run_app(shared, "web_app", ports=["front:8080", "back:8081"])


@pytest.fixture(scope="module")
def app(shared: Installation, web: JobDetail) -> Iterator[Door]:
    yield door(shared, web)
    assert shared.is_well()


def test_a_token_that_may_see_the_job_opens_its_port(app: Door) -> None:
    answer = app.ask("POST", "/a/b?c=d", b"x" * 200_000, headers={"X-Mine": "1", "Cookie": "dais_session=s; own=1"})
    assert answer.status == 200
    told = json.loads(answer.body)
    assert (told["method"], told["path"], told["length"]) == ("POST", "/a/b?c=d", 200_000)
    headers = seen_headers(answer)
    assert "authorization" not in headers
    assert headers["cookie"] == "own=1"
    assert headers["x-mine"] == "1"
    assert headers["x-forwarded-host"] == headers["host"] == app.host


def test_the_address_is_readable_and_others_lead_there_too(shared: Installation, web: JobDetail, app: Door) -> None:
    label = f"{web.account}.web_app".replace(".", "-").replace("_", "-")
    assert app.host.startswith(f"{label}.job.localhost:")
    port = app.host.rpartition(":")[2]
    for name in (web.id, web.id[-8:], f"{web.id[-8:]}-8080", f"{label}-8080", f"{web.id}-8080", label.upper()):
        assert Door(shared, f"http://{name}.job.localhost:{port}/", app.token).ask("GET", "/").status == 200, name
    assert shared.client().jobs.address(web.id, 9).url == f"http://{label}-9.job.localhost:{port}/"


def test_without_a_token_programs_are_refused_and_strangers_learn_nothing(shared: Installation, app: Door) -> None:
    port = app.host.rpartition(":")[2]
    answers = []
    for url in (app.url, f"http://nobody-here.job.localhost:{port}/"):
        answer = Door(shared, url).ask("GET", "/")
        assert answer.status == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        answers.append(answer.body)
        assert Door(shared, url).ask("GET", "/", headers={"Accept": "text/html"}).status == 303
    assert answers[0] == answers[1]
    assert Door(shared, f"http://nobody-here.job.localhost:{port}/", app.token).ask("GET", "/").status == 404


def test_a_browser_gets_in_by_dais_and_keeps_to_one_job(shared: Installation, app: Door) -> None:
    other = door(shared, run_app(shared, "other"))
    browser = Browser(shared)
    browser.sign_in()
    answer = browser.go(f"{app.url}some/page?x=1")
    assert (answer.status, json.loads(answer.body)["path"]) == (200, "/some/page?x=1")
    assert "cookie" not in seen_headers(answer)
    assert len(browser.seen) == 4
    ours = {name: value for (host, name), (value, _) in browser.cookies.items() if "job.localhost" in host}
    assert len(ours) == 1
    (name, value) = ours.popitem()
    assert name.startswith("dais_app_")
    for cookie in (f"{name}={value}", f"dais_app_{other.url[7:15]}={value}", f"{name}={value[:-1]}0"):
        assert other.ask("GET", "/", headers={"Cookie": cookie}).status == 200  # with a token
        assert Door(shared, other.url).ask("GET", "/", headers={"Cookie": cookie}).status == 401
    session = next(value for (_, name), (value, _) in browser.cookies.items() if name == "dais_session")
    for name in ("dais_session", f"dais_app_{app.url[7:15]}"):
        assert Door(shared, app.url).ask("GET", "/", headers={"Cookie": f"{name}={session}"}).status == 401
    # Where one is not signed in the way leads to the form, which leads back.
    stranger = Browser(shared)
    page = stranger.go(app.url)
    assert page.status == 401
    assert b"/open/" in page.body


def test_what_another_page_sends_with_the_cookie_is_refused(shared: Installation, app: Door) -> None:
    browser = Browser(shared)
    browser.sign_in()
    assert browser.go(app.url).status == 200
    own = app.url.rstrip("/")
    for origin in ("http://evil.example", "http://other.job.localhost:1", "null"):
        assert browser.request("POST", app.url, {"Origin": origin}, b"x").status == 403
    assert browser.request("GET", app.url, {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}).status == 403
    assert browser.request("POST", app.url, {"Origin": own}, b"x").status == 200
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": "x"}
    assert browser.request("GET", f"{app.url}socket", upgrade).status == 403
    assert browser.request("GET", f"{app.url}socket", upgrade | {"Origin": "http://evil.example"}).status == 403


def test_the_hand_over_works_once_and_only_in_the_browser_that_began(shared: Installation, app: Door) -> None:
    browser = Browser(shared)
    browser.sign_in()
    browser.go(app.url)
    enter = next(url for url in browser.seen if "/.dais/enter" in url)
    assert browser.request("GET", enter).status == 403  # used
    begun = browser.request("GET", browser.seen[1])
    ticket = begun.body.decode().partition("/.dais/enter?ticket=")[2].partition("&")[0]
    thief = Browser(shared)
    assert thief.request("GET", f"{app.url}.dais/enter?ticket={ticket}&next=/").status == 403
    assert not [name for _, name in thief.cookies if name.startswith("dais_app_")]
    for after in ("//evil.example", "http://evil.example/", "/\\evil.example", "/%0d%0aSet-Cookie:x=1"):
        lead = browser.request("GET", f"{shared.url}/open/{app.host.partition('.')[0]}?state=short&next={after}")
        where = lead.body.decode().partition('content="0; url=')[2].partition('"')[0]
        assert where.startswith(app.url)
        assert "evil" not in where or "%0" in after


def test_ending_the_session_shuts_the_app(shared: Installation, app: Door) -> None:
    browser = Browser(shared)
    browser.sign_in()
    assert browser.go(app.url).status == 200
    stream = app.raw(b"")
    name, value = next((n, v) for (host, n), (v, _) in browser.cookies.items() if n.startswith("dais_app_"))
    stream.sendall(
        f"GET /stream HTTP/1.1\r\nHost: {app.host}\r\nSec-Fetch-Site: none\r\nCookie: {name}={value}\r\n\r\n".encode()
    )
    read_until(stream, b"data: 1")
    page = browser.request("GET", f"{shared.url}/settings")
    token = page.body.decode().partition('name="token" value="')[2].partition('"')[0]
    done = browser.request("POST", f"{shared.url}/sign-out", {"Origin": shared.url}, f"token={token}".encode())
    assert done.status < 400
    with stream:
        assert not read_all(stream).endswith(b"0\r\n\r\n")  # cut, and not ended
    assert browser.request("GET", app.url).status == 303


def test_an_owner_opens_a_port_to_everybody_and_closes_it(shared: Installation, web: JobDetail, app: Door) -> None:
    anybody = Door(shared, app.url)
    assert anybody.ask("GET", "/").status == 401
    said = shared.dais("job", "expose", web.id, "8080")
    assert said.stdout.decode().strip() == app.url, said.stderr
    assert shared.client().jobs.address(web.id).public
    assert seen_headers(anybody.ask("GET", "/"))["host"] == app.host
    assert anybody.ask("POST", "/", b"x", headers={"Origin": "http://elsewhere.example"}).status == 200
    assert door(shared, web, 9, None).ask("GET", "/").status == 401
    named, other = door(shared, web, "front", None), door(shared, web, "back", None)
    assert (named.ask("GET", "/").status, other.ask("GET", "/").status) == (200, 401)
    assert [shared.client().jobs.address(web.id, name).public for name in ("front", "back")] == [True, False]
    assert shared.client().jobs.expose(web.id, 8080, public=False).ports == []
    assert anybody.ask("GET", "/").status == named.ask("GET", "/").status == 401


def test_what_is_not_there_yet_says_so(shared: Installation, web: JobDetail) -> None:
    nothing = door(shared, web, 9)
    answer = nothing.ask("GET", "/")
    assert (answer.status, answer.json["code"], answer.headers["retry-after"]) == (503, "nothing-listens", "2")
    page = nothing.ask("GET", "/", headers={"Accept": "text/html"})
    assert page.status == 503
    assert b'http-equiv="refresh"' in page.body
    job = run_app(shared, "short-lived")
    ended = door(shared, job)
    shared.client().jobs.kill(job.id)
    shared.wait(job.id)
    until(lambda: ended.ask("GET", "/").status == 410, "the job has ended")
    assert b"has ended" in ended.ask("GET", "/", headers={"Accept": "text/html"}).body


def test_a_web_socket_goes_through_byte_for_byte(app: Door) -> None:
    with app.raw(
        b"GET /socket HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer TOKEN\r\nConnection: Upgrade\r\n"
        b"Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nearly"
    ) as sock:
        answer = read_until(sock, b"early")
        assert answer.startswith(b"HTTP/1.1 101")
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer
        for size in (1, 70_000, 5):
            data = bytes(range(256)) * (size // 256 + 1)
            sock.sendall(data[:size])
            got = b""
            while len(got) < size:
                got += sock.recv(1 << 16)
            assert got == data[:size]
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(10) == b""


def test_the_how_to_of_a_python_server_word_for_word(shared: Installation, web: JobDetail, app: Door) -> None:
    """Role, policy, key, and the key opens the server: as the Element AI Toolkit's users know it."""
    urn = shared.dais("job", "get", web.id, "--field", "urn").stdout.decode().strip()
    account = web.account
    assert shared.dais("role", "new", f"{account}.job_access").returncode == 0
    assert shared.dais("role", "policy", "new", f"{account}.job_access", f"job:get@{urn}").returncode == 0
    made = shared.dais("role", "key", "new", f"{account}.job_access")
    assert made.returncode == 0, made.stderr
    key = next(word for word in made.stdout.decode().split() if word.startswith("dais_"))
    curl = shutil.which("curl")
    assert curl is not None
    port = app.host.rpartition(":")[2]
    command = [curl, "--silent", "--fail", "--connect-to", f"{app.host}:127.0.0.1:{port}", f"{app.url}predict"]
    said = subprocess.run([*command, "-H", f"Authorization: Bearer {key}"], capture_output=True, timeout=30, check=True)
    assert json.loads(said.stdout)["path"] == "/predict"
    assert subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 22
    other = door(shared, run_app(shared, "not-for-keys"), token=key)
    assert other.ask("GET", "/").status == 404


def test_a_server_that_comes_back_has_the_same_addresses_and_cookies(own: Installation) -> None:
    job = run_app(own)
    app = door(own, job)
    browser = Browser(own)
    browser.sign_in()
    assert browser.go(app.url).status == 200
    own.kill()
    own.start()
    until(lambda: app.ask("GET", "/").status == 200, "the app is reached again")
    assert browser.request("GET", app.url).status == 200


def test_without_wildcard_names_each_app_has_a_port_of_its_own() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        first = taken.getsockname()[1]
    with installation(settings={"DAIS_PROXY_PORTS": f"{first}-{first + 1}"}) as running:
        job = run_app(running)
        app = door(running, job)
        assert app.url == f"http://localhost:{first}/"
        listed = {one.name: one.url for one in running.client().jobs.apps(job.id).apps}
        assert listed["jupyter"] is None, "what is only listed is given a port"
        assert running.client().jobs.address(job.id, 9).url == f"http://localhost:{first + 1}/"
        assert json.loads(app.ask("GET", "/x").body)["path"] == "/x"
        assert Door(running, app.url).ask("GET", "/").status == 401
        browser = Browser(running)
        browser.sign_in()
        answer = browser.go(f"{app.url}some/page")
        assert (answer.status, json.loads(answer.body)["path"]) == (200, "/some/page")
        assert "cookie" not in seen_headers(answer)
        prefix = f"app-{job.id[-8:]}-8080."
        assert app.ask("GET", "/raw/cookies").headers["set-cookie"] == f"{prefix}mine=1; Path=/; HttpOnly"
        shown = app.ask("GET", "/", headers={"Cookie": f"dais_session=s; {prefix}mine=1; app-x.mine=2"})
        assert seen_headers(shown)["cookie"] == "mine=1"
        running.kill()
        running.start()
        until(lambda: app.ask("GET", "/").status == 200, "it is reached again")
