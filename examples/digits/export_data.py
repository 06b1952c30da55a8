"""Write scikit-learn's handwritten digits as files: images/0000.pgm, … and labels.csv.

    python export_data.py DIRECTORY

Each image is 8 by 8 pixels with 17 grey levels, as a plain PGM file that any image viewer opens.
"""

import csv
import sys
from pathlib import Path

from sklearn.datasets import load_digits


def main() -> None:
    directory = Path(sys.argv[1])
    (directory / "images").mkdir(parents=True, exist_ok=True)
    digits = load_digits()
    with (directory / "labels.csv").open("w", newline="") as file:
        labels = csv.writer(file)
        labels.writerow(["file", "digit"])
        for number, (image, digit) in enumerate(zip(digits.images, digits.target, strict=True)):
            name = f"images/{number:04}.pgm"
            header = b"P5 8 8 16\n"
            (directory / name).write_bytes(header + image.astype("uint8").tobytes())
            labels.writerow([name, int(digit)])
    print(f"{len(digits.target)} images written to {directory}")


if __name__ == "__main__":
    main()
