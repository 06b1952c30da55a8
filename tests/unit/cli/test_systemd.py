"""The unit for systemd."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from dais.cli.admin.systemd import quoted, systemd, unit


def read(text: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    return parser


def test_the_unit_ends_the_server_alone_and_hears_from_it(tmp_path: Path) -> None:
    found = read(unit(tmp_path / "my data", Path("/etc/dais/dais.toml"), for_user=False))
    service = found["Service"]
    assert (service["Type"], service["KillMode"], service["NotifyAccess"]) == ("notify", "process", "all")
    assert service["ExecStart"].endswith(f' up --data-dir "{tmp_path}/my data" --config /etc/dais/dais.toml')
    assert float(service["TimeoutStopSec"]) > 600  # the most that DAIS_SERVER_STOP_SECONDS may be
    assert found["Install"]["WantedBy"] == "multi-user.target"
    assert read(unit(tmp_path, None, for_user=True))["Install"]["WantedBy"] == "default.target"


def test_what_systemd_would_read_otherwise_is_quoted() -> None:
    assert [quoted(word) for word in ("a", "a b", "50%", "$HOME", 'say "x"', "")] == [
        "a", '"a b"', "50%%", "$$HOME", '"say \\"x\\""', '""',
    ]  # fmt: skip
    with pytest.raises(click.ClickException, match="line break"):
        quoted("a\nb")


def test_it_is_installed_once_and_never_over_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    run = CliRunner().invoke
    done = run(systemd, ["--user", "--install", "--data-dir", "/data"])
    assert done.exit_code == 0
    assert "systemctl --user enable --now dais" in done.output
    path = tmp_path / ".config" / "systemd" / "user" / "dais.service"
    assert "--data-dir /data" in path.read_text()
    assert run(systemd, ["--user", "--install", "--data-dir", "/data"]).exit_code == 0
    other = run(systemd, ["--user", "--install", "--data-dir", "/other"])
    assert other.exit_code == 1
    assert "remove it first" in other.output


def test_systemd_itself_finds_nothing_wrong(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("needs systemd-analyze (Debian's package systemd)")
    path = tmp_path / "dais.service"
    path.write_text(unit(tmp_path / "data", None, for_user=False))
    done = subprocess.run([analyze, "verify", "--man=no", str(path)], capture_output=True, text=True, check=False)
    assert "dais.service" not in done.stderr, done.stderr
