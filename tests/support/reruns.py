"""What failed at first and passed at its second run: its story is told, too, before pytest's summary."""

from __future__ import annotations

from _pytest.terminal import TerminalReporter


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print how each test failed that was run again, with what it printed; pytest does so for what failed in the end.

    `--rerun-show-tracebacks` leaves out what it printed, which is what tells most.
    """
    for report in terminalreporter.getreports("rerun"):
        terminalreporter.write_sep("=", f"RERUN {report.nodeid} (at its {report.when})", yellow=True, bold=True)
        report.toterminal(terminalreporter._tw)
        for title, content in report.sections:
            terminalreporter.write_sep("-", title)
            terminalreporter.write_line(content.rstrip("\n"))
