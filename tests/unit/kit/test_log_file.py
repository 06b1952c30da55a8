"""Log files are turned over, by us or by others, and no line is lost."""

from __future__ import annotations

import json
import logging
import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pytest

from dais.kit.logging import JsonFormatter, LogFile, reopen_logs

LINES = 400


@pytest.fixture
def handler(tmp_path: Path) -> Iterator[LogFile]:
    made = _open(tmp_path / "server.log", 1 << 20)
    logging.getLogger().addHandler(made)
    yield made
    logging.getLogger().removeHandler(made)
    made.close()


def _open(path: Path, size: int) -> LogFile:
    made = LogFile(path, maxBytes=size, backupCount=100, encoding="utf-8")
    made.setFormatter(JsonFormatter())
    return made


def _write(path: str, name: str) -> None:
    handler = _open(Path(path), 8_000)
    log = logging.Logger(name)
    log.addHandler(handler)
    for number in range(LINES):
        log.info("line", extra={"number": number})
    handler.close()


def test_several_processes_turn_one_file_over_and_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    names = ["one", "two", "three"]
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_write, args=(str(path), name)) for name in names]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    files = list(tmp_path.glob("server.log*"))
    assert len(files) > 5
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert sorted((line["logger"], line["number"]) for line in lines) == sorted(
        (name, number) for name in names for number in range(LINES)
    )


def test_a_file_that_was_moved_away_is_begun_anew(tmp_path: Path, handler: LogFile) -> None:
    path = tmp_path / "server.log"
    log = logging.getLogger("dais.test")
    log.warning("before")
    path.rename(tmp_path / "old.log")
    log.warning("after")
    path.unlink()
    log.warning("again")
    assert "before" in (tmp_path / "old.log").read_text()
    assert json.loads(path.read_text())["event"] == "again"
    path.rename(tmp_path / "older.log")
    reopen_logs()
    assert path.read_text() == ""
