"""Train a classifier of handwritten digits, and leave the model and its metrics in a directory.

    python train.py [--data /data] [--models /models] [--epochs 20]

Reads what export_data.py writes. Leaves digits.joblib (the model) and metrics.json.
"""

import argparse
import csv
import json
import time
from pathlib import Path

import joblib
import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

HEADER = b"P5 8 8 16\n"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path("/data"))
    parser.add_argument("--models", type=Path, default=Path("/models"))
    parser.add_argument("--epochs", type=int, default=20)
    arguments = parser.parse_args()

    images, digits = load(arguments.data)
    train_x, test_x, train_y, test_y = train_test_split(images, digits, test_size=0.25, random_state=1, stratify=digits)
    print(f"{len(digits)} images: {len(train_y)} to learn from, {len(test_y)} to test with", flush=True)

    started = time.perf_counter()
    model = MLPClassifier(hidden_layer_sizes=(64,), learning_rate_init=0.01, batch_size=32, random_state=1)
    accuracy = 0.0
    for epoch in range(1, arguments.epochs + 1):
        model.partial_fit(train_x, train_y, classes=np.arange(10))
        accuracy = float(model.score(test_x, test_y))
        print(f"epoch {epoch:2}  loss {model.loss_:.4f}  accuracy {accuracy:.4f}", flush=True)

    arguments.models.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, arguments.models / "digits.joblib")
    metrics = {
        "accuracy": accuracy,
        "epochs": arguments.epochs,
        "train_images": len(train_y),
        "test_images": len(test_y),
        "seconds": round(time.perf_counter() - started, 3),
    }
    (arguments.models / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    print(f"model and metrics are in {arguments.models}", flush=True)


def load(directory: Path) -> tuple[np.ndarray, np.ndarray]:
    """The images as rows of 64 values between 0 and 1, and the digit that each of them shows."""
    images, digits = [], []
    with (directory / "labels.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            content = (directory / row["file"]).read_bytes()
            if not content.startswith(HEADER):
                raise SystemExit(f"{row['file']} is not an 8 by 8 PGM image")
            images.append(np.frombuffer(content[len(HEADER) :], dtype=np.uint8))
            digits.append(int(row["digit"]))
    return np.stack(images) / 16.0, np.array(digits)


if __name__ == "__main__":
    main()
