"""The model of runtime: log t = a + Σ b·log(option) + c·log(cpu) + d·log(mem). Pure, without any library.

Options that may be zero or below stand in it as they are, texts as one term for each value but the first. A factor that
was never varied has no term. The ridge is chosen by the error of leaving each run out in turn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from dais.compute.provisioning.hints import Hint

LEAST_SAMPLES = 3
RIDGES = (1e-9, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
CERTAIN = 50.0
"""Exponents are kept within this: e^50 seconds is for ever."""

# The quantile of Student's t for an interval that holds nine of ten, by degrees of freedom.
_T = (6.31, 2.92, 2.35, 2.13, 2.02, 1.94, 1.89, 1.86, 1.83, 1.81)


class Sample(msgspec.Struct, frozen=True):
    """A run that succeeded: a value for each hint, cores, bytes, seconds."""

    values: tuple[str, ...]
    cpu: float
    mem: int
    seconds: float


class Factor(msgspec.Struct, frozen=True):
    """A term: `option` is the place of the hint, -1 cpu, -2 memory. `level` of a text; `log` or as it is."""

    name: str
    option: int
    log: bool
    level: str | None
    mean: float
    scale: float
    low: float
    high: float


class Fit(msgspec.Struct, frozen=True):
    """A fitted model. `inverse` is that of the normal equations, for intervals; `spread` the error of log time."""

    factors: tuple[Factor, ...]
    weights: tuple[float, ...]
    inverse: tuple[tuple[float, ...], ...]
    spread: float
    samples: int
    ridge: float
    warnings: tuple[str, ...]

    @property
    def error(self) -> float:
        """How far a prediction is off, as a share of the time."""
        return math.expm1(min(self.spread, CERTAIN))


class Estimate(msgspec.Struct, frozen=True):
    """Seconds, and the interval in which nine of ten runs are expected."""

    seconds: float
    low: float
    high: float
    beyond: tuple[str, ...]
    """Factors whose value lies outside of what was profiled."""


def fit(hints: Sequence[Hint], samples: Sequence[Sample]) -> Fit:
    """Fit to runs that succeeded. Raises ValueError when there are fewer than three."""
    if len(samples) < LEAST_SAMPLES:
        raise ValueError(f"{len(samples)} profiling runs succeeded; a model needs {LEAST_SAMPLES}")
    factors, warnings = _factors(hints, samples)
    rows = [_row(factors, sample.values, sample.cpu, sample.mem) for sample in samples]
    logs = [math.log(max(sample.seconds, 1e-3)) for sample in samples]
    spread, ridge, weights, inverse = min(
        (_solve(rows, logs, ridge) for ridge in RIDGES), key=lambda solved: (solved[0], solved[1])
    )
    if len(samples) < 2 * (len(factors) + 1):
        warnings.append(
            f"{len(samples)} runs for {len(factors) + 1} numbers of the model is little: profile with more runs"
        )
    return Fit(
        tuple(factors),
        tuple(weights),
        tuple(tuple(row) for row in inverse),
        spread,
        len(samples),
        ridge,
        tuple(warnings),
    )


def estimate(fitted: Fit, values: Sequence[str], cpu: float, mem: int) -> Estimate:
    """What the model says of a point; `beyond` names what it was never shown."""
    row = _row(fitted.factors, values, cpu, mem)
    middle = sum(weight * value for weight, value in zip(fitted.weights, row, strict=True))
    lever = sum(
        one * sum(a * b for a, b in zip(line, row, strict=True)) for one, line in zip(row, fitted.inverse, strict=True)
    )
    freedom = max(1, fitted.samples - len(row))
    half = (_T[freedom - 1] if freedom <= len(_T) else 1.7) * fitted.spread * math.sqrt(1 + max(0.0, lever))
    beyond = tuple(
        factor.name
        for factor in fitted.factors
        if factor.level is None and not factor.low <= _plain(factor, values, cpu, mem) <= factor.high
    )
    return Estimate(_exp(middle), _exp(middle - half), _exp(middle + half), beyond)


def powers(fitted: Fit) -> list[tuple[str, float]]:
    """The terms with what they weigh outside of the scales that they were fitted in."""
    return [
        (factor.name if factor.level is None else f"{factor.name}={factor.level}", weight / factor.scale)
        for factor, weight in zip(fitted.factors, fitted.weights[1:], strict=True)
    ]


def _factors(hints: Sequence[Hint], samples: Sequence[Sample]) -> tuple[list[Factor], list[str]]:
    factors: list[Factor] = []
    warnings: list[str] = []
    for place, hint in enumerate(hints):
        tried = {sample.values[place] for sample in samples}
        if len(tried) < 2:
            if len(hint.values) > 1:
                warnings.append(f"{hint.name}: runs succeeded with {min(tried)} alone; nothing is known of others")
            continue
        if hint.numeric:
            log = all(level > 0 for level in hint.levels)
            factors.append(_factor(hint.name, place, [float(one.values[place]) for one in samples], log))
            continue
        for level in hint.values[1:]:
            if level in tried:
                share = [float(sample.values[place] == level) for sample in samples]
                factors.append(_factor(hint.name, place, share, False, level))
    for name, place, sizes in (
        ("cpu", -1, [sample.cpu for sample in samples]),
        ("mem", -2, [float(sample.mem) for sample in samples]),
    ):
        if len(set(sizes)) > 1:
            factors.append(_factor(name, place, sizes, True))
    return factors, warnings


def _factor(name: str, place: int, seen: Sequence[float], log: bool, level: str | None = None) -> Factor:
    values = [math.log(value) for value in seen] if log else seen
    mean = sum(values) / len(values)
    scale = math.sqrt(sum((value - mean) ** 2 for value in values) / len(values)) or 1.0
    return Factor(name, place, log, level, mean, scale, min(seen), max(seen))


def _plain(factor: Factor, values: Sequence[str], cpu: float, mem: int) -> float:
    if factor.option == -1:
        return cpu
    if factor.option == -2:
        return float(mem)
    text = values[factor.option]
    return float(text == factor.level) if factor.level is not None else float(text)


def _row(factors: Sequence[Factor], values: Sequence[str], cpu: float, mem: int) -> list[float]:
    row = [1.0]
    for factor in factors:
        value = _plain(factor, values, cpu, mem)
        row.append(((math.log(value) if factor.log else value) - factor.mean) / factor.scale)
    return row


def _solve(
    rows: Sequence[Sequence[float]], logs: Sequence[float], ridge: float
) -> tuple[float, float, list[float], list[list[float]]]:
    """The error of leaving each out, the ridge, the weights, and the inverse of the normal equations."""
    size, count = len(rows[0]), len(rows)
    normal = [[sum(row[i] * row[j] for row in rows) for j in range(size)] for i in range(size)]
    for place in range(1, size):
        normal[place][place] += ridge * count
    inverse = _inverted(normal)
    right = [sum(row[i] * log for row, log in zip(rows, logs, strict=True)) for i in range(size)]
    weights = [sum(a * b for a, b in zip(line, right, strict=True)) for line in inverse]
    squares = 0.0
    for row, log in zip(rows, logs, strict=True):
        lever = sum(
            one * sum(a * b for a, b in zip(line, row, strict=True)) for one, line in zip(row, inverse, strict=True)
        )
        squares += ((log - sum(w * v for w, v in zip(weights, row, strict=True))) / max(1 - lever, 1e-3)) ** 2
    return math.sqrt(squares / count), ridge, weights, inverse


def _inverted(matrix: Sequence[Sequence[float]]) -> list[list[float]]:
    """The inverse, by elimination with the largest pivot; the matrix is symmetric and, with its ridge, definite."""
    size = len(matrix)
    work = [[*row, *(float(i == j) for j in range(size))] for i, row in enumerate(matrix)]
    for column in range(size):
        best = max(range(column, size), key=lambda row: abs(work[row][column]))
        work[column], work[best] = work[best], work[column]
        pivot = work[column][column] or 1e-12
        work[column] = [value / pivot for value in work[column]]
        for row in range(size):
            if row != column and work[row][column]:
                share = work[row][column]
                work[row] = [value - share * one for value, one in zip(work[row], work[column], strict=True)]
    return [row[size:] for row in work]


def _exp(value: float) -> float:
    return math.exp(max(-CERTAIN, min(CERTAIN, value)))
