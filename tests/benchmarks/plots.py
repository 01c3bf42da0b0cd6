"""Draws what was measured: rate over backlog, latency, scaling over processes. Needs matplotlib (group `bench`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot  # after the choice of what draws

_COLOR = "#2563eb"


def draw(results: Mapping[str, Any], folder: Path) -> list[Path]:
    """Writes the SVG files for the measures that `results` holds; answers them."""
    folder.mkdir(parents=True, exist_ok=True)
    # no date, no random ids: a file that shows the same is the same
    matplotlib.rcParams.update({"svg.hashsalt": "dispatch", "font.size": 10, "figure.figsize": (6, 3.2)})
    drawn = []
    if "backlog" in results:
        points = sorted((int(size), figures["per_second"]) for size, figures in results["backlog"].items())
        title = "Drain rate over the backlog, one worker"
        drawn.append(_line(points, folder / "backlog.svg", title, "jobs waiting", log=True))
    if "scaling" in results:
        points = sorted((int(workers), figures["per_second"]) for workers, figures in results["scaling"].items())
        title = "Drain rate over worker processes"
        drawn.append(_line(points, folder / "scaling.svg", title, "processes", log=False))
    if "latency" in results:
        drawn.append(_histogram(results["latency"]["waits"], folder / "latency.svg"))
    return drawn


def _line(points: Sequence[tuple[int, float]], file: Path, title: str, label: str, *, log: bool) -> Path:
    figure, axes = pyplot.subplots()
    axes.plot([x for x, _ in points], [y for _, y in points], marker="o", color=_COLOR)
    axes.set(title=title, xlabel=label, ylabel="jobs / s")
    axes.set_ylim(bottom=0)
    if log:
        axes.set_xscale("log")
    else:
        axes.set_xticks([x for x, _ in points])
    return _saved(figure, axes, file)


def _histogram(waits: Sequence[float], file: Path) -> Path:
    figure, axes = pyplot.subplots()
    axes.hist(waits, bins=40, color=_COLOR)
    axes.set(title=f"From enqueue to start, idle worker, {len(waits)} jobs", xlabel="ms", ylabel="jobs")
    return _saved(figure, axes, file)


def _saved(figure: Any, axes: Any, file: Path) -> Path:
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)
    return file
