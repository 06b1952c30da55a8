"""Jobs that read file sets, run code of the data lake, and make file sets: with real containers and without."""

from __future__ import annotations

import io
import random
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dais.sdk.errors import Conflict
from dais.wire.answers import JobDetail
from tests.support.installation import Installation, installation, script
from tests.support.supervisor import until

COUNT = """
import pathlib, sys
found = sum(len(path.read_bytes()) for path in pathlib.Path("corpus").rglob("*.txt"))
out = pathlib.Path("counts/deep")
out.mkdir(parents=True)
(out / "total").write_text(str(found))
"""


@pytest.fixture(scope="module", params=["auto", "process"])
def place(request: pytest.FixtureRequest) -> Iterator[Installation]:
    """With the machine's best isolation, and with none."""
    with installation(settings={"DAIS_LOCAL_ISOLATION": request.param, "DAIS_COMPUTE_STOP_GRACE": "1"}) as running:
        yield running


def zipped(**files: str) -> bytes:
    """A zip archive of these files."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return sink.getvalue()


def upload(running: Installation, tmp_path: Path, files: dict[str, bytes], fileset: str | None = None) -> None:
    """Upload files, and make a set of just them."""
    local = tmp_path / random.randbytes(4).hex()
    pairs = []
    for number, (path, content) in enumerate(files.items()):
        one = local / str(number)
        one.parent.mkdir(exist_ok=True)
        one.write_bytes(content)
        pairs.append((one, path))
    running.client().files.upload(pairs)
    if fileset is not None:
        running.client().filesets.create(fileset, list(files))


def contents(running: Installation, fileset: str, into: Path) -> dict[str, bytes]:
    """What a file set holds, by path."""
    into.mkdir()
    running.client().filesets.download(fileset, into)
    return {f"/{path.relative_to(into)}": path.read_bytes() for path in into.rglob("*") if path.is_file()}


def wait_state(running: Installation, job: JobDetail, *states: str) -> None:
    """Wait until a job is in one of these states."""
    until(lambda: running.client().jobs.get(job.id).state in states, f"it is {' or '.join(states)}")


def told(running: Installation, job: JobDetail) -> str:
    return f"{job.state} {job.reason} {job.detail}: {running.output(job.id).decode()}"


def test_a_job_reads_a_set_runs_a_zip_and_makes_a_set(place: Installation, tmp_path: Path) -> None:
    large = random.randbytes(20 << 20)
    upload(place, tmp_path, {"/corpus/a.txt": b"one", "/corpus/b/c.txt": b"three", "/corpus/l.txt": large}, "corpus")
    upload(place, tmp_path, {"/code/count.zip": zipped(**{"lib/count.py": COUNT})})
    job = place.run("python3", "lib/count.py", inputs=["corpus"], code="/code/count.zip", output="./counts/")
    assert job.state == "SUCCEEDED", told(place, job)
    name = f"job_{job.number}_output"
    assert (job.output_fileset, [one.fileset for one in job.outputs]) == (name, [f"{name}:1"])
    assert [one.fileset for one in job.inputs] == ["corpus:1"]
    assert job.spec.inputs[0].fileset == "corpus:1", "the version is fixed"
    assert job.spec.code == "/code/count.zip:1"
    made = contents(place, name, tmp_path / "made")
    assert made == {"/counts/deep/total": str(8 + len(large)).encode()}
    found = place.client().filesets.get(name)
    assert (found.made_by, found.made_by_id) == ("job", job.id)
    assert job.phase is None
    trace = place.client().lineage.backward(name)
    (code,) = [edge.source for edge in trace.edges if edge.kind == "code"]
    assert [node.name for node in trace.nodes if node.id == code] == ["/code/count.zip:1"]
    assert b"code /code/count.zip:1" in place.dais("trace", "backward", name).stdout
    assert name.encode() in place.dais("trace", "forward", "/code/count.zip").stdout


def test_inputs_cannot_be_changed_and_lie_beside_what_the_job_writes(place: Installation, tmp_path: Path) -> None:
    upload(place, tmp_path, {"/mine/x": b"x", "/top": b"t", "/made/before": b"b"}, "mixed")
    text = """
    cat mine/x top made/before
    (echo y > mine/x) 2>/dev/null && [ "$(id -u)" != 0 ] && exit 3
    mkdir -p made && echo new > made/after
    """
    job = place.run(*script(text), inputs=["mixed"], output="made=mine.new")
    assert job.state == "SUCCEEDED", told(place, job)
    assert place.output(job.id) == b"xtb"
    assert contents(place, "mine.new", tmp_path / "made") == {"/made/after": b"new\n"}


def test_what_lies_elsewhere_is_never_taken(place: Installation, tmp_path: Path) -> None:
    text = """
    mkdir -p out/d && cd out && echo fine > fine
    ln -s /etc/passwd link; ln -s /etc dir; ln -s ../.. d/up; mkfifo pipe
    python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("sock")'
    """
    job = place.run(*script(text), output="out")
    assert job.state == "SUCCEEDED", told(place, job)
    assert contents(place, job.output_fileset or "", tmp_path / "made") == {"/out/fine": b"fine\n"}
    (warning,) = [one for one in job.warnings if "left out" in one]
    assert "out/link (a link)" in warning

    away = place.run(*script("ln -s /etc out"), output="out")
    assert (away.state, away.reason) == ("FAILED", "output-failed"), told(place, away)
    assert not away.outputs


def test_a_job_that_fails_has_no_result(place: Installation, tmp_path: Path) -> None:
    job = place.run(*script("mkdir out; echo half > out/x; ln -s /etc/passwd out/y; exit 3"), output="out")
    assert (job.state, job.reason, job.exit_code) == ("FAILED", "exit-code", 3), told(place, job)
    assert (job.outputs, job.has_partial) == ([], True)
    names = [one.name for one in place.client().filesets.ls()]
    assert job.output_fileset not in names
    assert not [one for one in place.client().files.ls("/") if one.path == "/out/x"]
    archive = tmp_path / "partial.zip"
    assert place.dais("job", "partial", job.id, "--to", str(archive)).returncode == 0
    with zipfile.ZipFile(archive) as kept:
        assert [(one, kept.read(one)) for one in kept.namelist()] == [(f"job_{job.number}_partial/out/x", b"half\n")]
    fine = place.run("true", output="out")
    assert place.dais("job", "partial", fine.id, "--to", str(archive)).returncode == 1


def test_a_job_that_writes_nothing_makes_an_empty_set(place: Installation) -> None:
    job = place.run("true", output="out")
    assert job.state == "SUCCEEDED", told(place, job)
    assert [one.files for one in job.outputs] == [0]
    assert any("nothing was written below out" in one for one in job.warnings)


def test_what_a_job_used_is_kept(place: Installation, tmp_path: Path) -> None:
    upload(place, tmp_path, {"/kept/a": b"a"}, "kept")
    upload(place, tmp_path, {"/kept.zip": zipped(a="a")})
    job = place.run("true", inputs=["kept"], code="/kept.zip")
    assert job.state == "SUCCEEDED", told(place, job)
    client = place.client()
    used = pytest.raises(Conflict, match=f"is used by job {job.number}")
    with used:
        client.filesets.rm("kept")
    with used:
        client.files.rm("/kept.zip")
    upload(place, tmp_path, {"/kept/a": b"changed"}, "kept")
    client.jobs.retry(job.id)
    again = place.wait(job.id)
    assert [one.fileset for one in again.inputs] == ["kept:1"]
    client.jobs.rm(job.id)
    client.filesets.rm("kept:1")
    client.files.rm("/kept.zip")


def test_a_job_that_attacks_its_inputs_changes_nobodys(place: Installation, tmp_path: Path) -> None:
    before = {"/attacked/d/a": b"a" * 1000, "/attacked/b": b"b" * 1000}
    upload(place, tmp_path, before, "attacked")
    text = """
    for f in attacked/d/a attacked/b attacked/d attacked; do
      chmod -R u+rwx $f; echo x >> $f; truncate -s 0 $f; mv $f $f.moved; rm -rf $f; ln $f linked && echo x >> linked
      mount -o remount,rw,bind $f; umount $f; setfattr -n user.x -v y $f; touch -d 2001-01-01 $f
    done 2>/dev/null
    true
    """
    job = place.run(*script(text), inputs=["attacked"])
    assert job.state == "SUCCEEDED", told(place, job)
    assert contents(place, "attacked", tmp_path / "after") == before
    again = place.run(*script("cat attacked/d/a attacked/b"), inputs=["attacked"])
    assert place.output(again.id) == b"a" * 1000 + b"b" * 1000
    examined = place.dais("doctor", "data", "--data-dir", str(place.data), "--json")
    assert examined.returncode == 0, examined.stdout


@pytest.mark.parametrize(
    "names,said",
    [
        (["../out"], "leads upward"),
        (["/etc/cron.d/x"], "no path below"),
        (["a", "a"], "twice"),
        (["a", "a/b"], "file and a directory"),
        (["a\\..\\b"], "no path below"),
    ],
)
def test_a_zip_that_attacks_is_refused(place: Installation, tmp_path: Path, names: list[str], said: str) -> None:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name in names:
            info = zipfile.ZipInfo("x")
            info.filename = info.orig_filename = name
            with warnings.catch_warnings(action="ignore"):  # of a name that is there twice
                archive.writestr(info, "x")
    upload(place, tmp_path, {"/bad.zip": sink.getvalue()})
    job = place.run("true", code="/bad.zip")
    assert (job.state, job.reason) == ("FAILED", "bad-archive"), told(place, job)
    assert said in (job.detail or "")


def test_a_set_that_is_not_there_is_named_at_the_submit(place: Installation) -> None:
    refused = place.dais("job", "submit", "--input", "nothing-like-it", "--", "true")
    assert refused.returncode != 0
    assert b"there is no file set 'nothing-like-it'" in refused.stderr


def test_two_sets_that_clash_are_refused_at_the_submit(place: Installation, tmp_path: Path) -> None:
    upload(place, tmp_path, {"/same/x": b"1"}, "first")
    upload(place, tmp_path, {"/same/x": b"2"}, "second")
    with pytest.raises(Conflict, match="both have '/same/x'"):
        place.submit("true", inputs=["first", "second"])
    job = place.run("cat", "same/x", inputs=["first", "first:1"])
    assert place.output(job.id) == b"1", told(place, job)


def test_a_set_is_bound_where_it_is_wanted(place: Installation, tmp_path: Path) -> None:
    upload(place, tmp_path, {"/bound/x": b"x"}, "bound")
    try:
        job = place.submit(*script("cat /inputs/bound/x; touch /inputs/bound/y"), inputs=["bound=/inputs"])
    except Exception as error:
        assert getattr(error, "code", "") == "cannot-mount"  # noqa: PT017 (as without a sandbox)
        return
    ended = place.wait(job.id)
    assert place.output(job.id).startswith(b"x")
    assert (ended.state, b"Read-only" in place.output(job.id)) == ("FAILED", True)


@pytest.mark.slow
def test_a_server_killed_while_data_comes_brings_all_of_it(
    own: Installation, tmp_path: Path, chance: random.Random
) -> None:
    files = {f"/f{number}": random.randbytes(300) for number in range(500)}
    files |= {f"/d{number % 7}/g{number}": random.randbytes(300) for number in range(500)}
    upload(own, tmp_path, files, "many")
    text = "mkdir out; cat f* d*/g* | wc -c > out/size; find . -name 'f*' -o -name 'g*' | wc -l >> out/size"
    for _ in range(3):
        job = own.submit(*script(text), inputs=["many"], output="out")
        wait_state(own, job, "PREPARING", "RUNNING", "FINISHING", "SUCCEEDED")
        own.live(chance.uniform(0, 0.3))
        own.kill()
        own.start()
        ended = own.wait(job.id)
        assert ended.state == "SUCCEEDED", told(own, ended)
        made = contents(own, ended.outputs[0].fileset, tmp_path / f"made {job.number}")
        assert made["/out/size"].split() == [str(1000 * 300).encode(), b"1000"]
        own.wait_nothing_left(ended)


@pytest.mark.slow
def test_a_server_killed_while_an_output_is_taken_makes_one_set(own: Installation, chance: random.Random) -> None:
    text = "mkdir out; i=0; while [ $i -lt 1000 ]; do echo $i $DAIS_JOB_ID > out/$i; i=$((i+1)); done"
    for _ in range(3):
        job = own.submit(*script(text), output="out")
        wait_state(own, job, "FINISHING", "SUCCEEDED")
        own.live(chance.uniform(0, 0.5))
        own.kill()
        own.start()
        ended = own.wait(job.id)
        assert ended.state == "SUCCEEDED", told(own, ended)
        client = own.client()
        versions = list(client.filesets.versions(f"job_{job.number}_output"))
        assert [(one.version, one.files) for one in versions] == [(1, 1000)]
        assert [one.id for one in versions] == [one.id for one in ended.outputs]
        assert {one.version for one in client.filesets.files(ended.outputs[0].fileset)} == {job.number}
        own.wait_nothing_left(ended)
    examined = own.dais("doctor", "data", "--data-dir", str(own.data), "--json")
    assert examined.returncode == 0, examined.stdout
