"""The first minutes with Dais, as a newcomer would spend them: start it, push data, train a model, fetch it.

Every step is a `dais` command, printed before it runs; nothing here knows more than what its user may type.
Run again, it leaves out what is there already, and trains once more.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "digits"
DAIS = Path(sys.executable).parent / "dais"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, help="the port of the web page and the API")
    port = parser.parse_args().port

    status = start(port)
    export_data()
    heading("Push the data set: 1,797 handwritten digits, one file each")
    new_folder("digits")
    dais("folder", "push", "digits", "data")

    heading("Train a model on it")
    new_folder("models")
    mounts = ["-d", "digits:/data", "-d", "models:/models:rw"]
    dais(*run_job("train-digits"), *mounts, "--", "python", "train.py")

    heading("Fetch the model")
    dais("folder", "pull", "models", "models")
    metrics = json.loads((EXAMPLE / "models" / "metrics.json").read_text())
    farewell(status, metrics)


def start(port: int | None) -> dict[str, Any]:
    """Start Dais unless it runs; its status."""
    status = running()
    if status is None:
        heading("Start Dais")
        dais("up", "--detach", *(["--port", str(port)] if port else []))
        status = running()
        if status is None:
            fail("Dais was started, but `dais status` does not find it. What it said is in the data directory.")
    else:
        heading(f"Dais is running already, at {status['url']}")
    return status


def export_data() -> None:
    """Have the data set as files on this disk. scikit-learn brings it, so a job with scikit-learn writes it."""
    if (EXAMPLE / "data" / "labels.csv").exists():
        return
    heading("Get a data set: the first job builds its environment (scikit-learn), which later jobs share")
    new_folder("digits-export")
    dais(*run_job("export-digits"), "-d", "digits-export:/out:rw", "--", "python", "export_data.py", "/out")
    dais("folder", "pull", "digits-export", "data")


def run_job(name: str) -> list[str]:
    return ["run", "--name", name, "--requirements", "requirements.txt"]


def new_folder(name: str) -> None:
    """Make a folder unless there is one."""
    known = subprocess.run([DAIS, "folder", "get", name], cwd=EXAMPLE, capture_output=True, check=False)
    if known.returncode != 0:
        dais("folder", "new", name)


def running() -> dict[str, Any] | None:
    """What `dais status` tells; None when Dais does not run."""
    asked = subprocess.run([DAIS, "status", "--json"], cwd=EXAMPLE, capture_output=True, text=True, check=False)
    if asked.returncode != 0:
        return None
    status: dict[str, Any] = json.loads(asked.stdout)
    return status if status.get("pid") else None


def dais(*words: str) -> None:
    """Run one command in the example's directory, and end here when it fails."""
    say(f"$ dais {shlex.join(words)}")
    code = subprocess.run([DAIS, *words], cwd=EXAMPLE, check=False).returncode
    if code != 0:
        fail(f"`dais {shlex.join(words)}` ended with {code}; it says why above. `make run` goes on from here.", code)


def farewell(status: dict[str, Any], metrics: dict[str, Any]) -> None:
    models = (EXAMPLE / "models").relative_to(ROOT)
    # `make run DATA_DIR=…` sets it for this process alone: the next shell does not know of it.
    elsewhere = f" --data-dir {shlex.quote(status['data_dir'])}" if "DAIS_DATA_DIR" in os.environ else ""
    say(
        f"\naccuracy {metrics['accuracy']:.4f} on {metrics['test_images']} digits that the model had not seen"
        f"\nThe model and its metrics are in {models}/."
        f"\n\nDais is running: {status['url']} (`dais open` signs your browser in)"
        f"\nIts data is in {status['data_dir']}."
        "\n\nNext, for example (the first line puts `dais` on your path):"
        f"\n  source {DAIS.parent.relative_to(ROOT) if DAIS.is_relative_to(ROOT) else DAIS.parent}/activate"
        "\n  dais job ls                         what has run"
        "\n  dais job logs --last                what the training printed"
        "\n  dais run -- python -c 'print(6*7)'  a job of your own, in the current directory"
        f"\n`dais down{elsewhere}` stops it; `dais --help` lists the rest."
    )


def heading(text: str) -> None:
    say(f"\n== {text}")


def say(text: str) -> None:
    print(text, flush=True)


def fail(text: str, code: int = 1) -> NoReturn:
    print(f"\n{text}", file=sys.stderr, flush=True)
    sys.exit(code)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
