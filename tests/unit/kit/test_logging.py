"""What goes to the log file, and what to the terminal."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from dais.kit.logging import set_up_logging


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, raising = root.handlers[:], root.level, logging.raiseExceptions
    root.handlers = []
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers = handlers
    root.setLevel(level)
    logging.raiseExceptions = raising


def lines(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_every_line_of_the_file_is_json(tmp_path: Path) -> None:
    set_up_logging(tmp_path / "log")
    log = logging.getLogger("dais.test")
    log.info("two\nlines of %s", "words", extra={"job": "x", "odd": object()})
    log.debug("too quiet")
    (line,) = lines(tmp_path / "log")
    assert (line["event"], line["level"], line["logger"], line["job"]) == (
        "two\nlines of words",
        "info",
        "dais.test",
        "x",
    )
    assert str(line["at"]).endswith("Z")
    assert "taskName" not in line


def test_the_file_has_the_traceback_and_the_terminal_the_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging(tmp_path / "log")
    try:
        raise ValueError("the inside")
    except ValueError:
        logging.getLogger("dais.test").exception("it failed")
    logging.getLogger("dais.test").info("not for the terminal")
    assert capsys.readouterr().err == "error: it failed: ValueError: the inside\n"
    first = lines(tmp_path / "log")[0]
    assert first["error"] == "ValueError: the inside"
    assert "Traceback" in str(first["traceback"])


def test_the_terminal_can_be_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(tmp_path / "log", terminal=False)
    logging.getLogger("dais.test").error("x")
    assert capsys.readouterr().err == ""


def test_text_that_is_no_unicode_is_kept(tmp_path: Path) -> None:
    set_up_logging(tmp_path / "log", terminal=False)
    logging.getLogger("dais.test").warning("odd \udcff name")
    assert len(lines(tmp_path / "log")) == 1


def test_setting_it_up_again_replaces_what_was(tmp_path: Path) -> None:
    set_up_logging(tmp_path / "one", terminal=False)
    set_up_logging(tmp_path / "two", terminal=False)
    logging.getLogger("dais.test").error("x")
    assert lines(tmp_path / "one") == []
    assert len(lines(tmp_path / "two")) == 1


def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="log"):
        set_up_logging(tmp_path / "nothing" / "log")
