"""`./dev bench`: measures a store and says what it found; `--plots FOLDER` draws it too."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from . import measures, rpc, telemetry
from .bench import fresh
from .machine import conditions
from .postgres import is_postgres

MEASURES = (
    "one",
    "concurrent",
    "bulk",
    "drain",
    "latency",
    "cold",
    "idle",
    "telemetry",
    "backlog",
    "scaling",
    "claims",
    "rpc",
)
ON_REQUEST = ("snapshot",)
"""Those that only one kind of store has."""


def main() -> None:
    options = _options()
    results: dict[str, Any] = {"conditions": conditions(), "store": options.store.partition(":")[0]}
    print(*(f"{name} {value}" for name, value in results["conditions"].items()), sep=" · ", flush=True)
    for name in options.measure:
        results |= _measured(name, options)
        print(json.dumps(_short({key: results[key] for key in results if key.partition("_")[0] == name})), flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    if options.plots:
        from .plots import draw

        for file in draw(results, options.plots):
            print(f"drew {file}")


def _measured(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """The results of one measure, by name; those of several sizes by size."""
    n: int = options.jobs

    def run(measure: Callable[..., measures.Figures], **arguments: Any) -> measures.Figures:
        rounds = []
        for _ in range(options.rounds):
            with fresh(options.store, deadline=options.deadline) as bench:
                rounds.append(measure(bench, **arguments))
        return _middle(rounds)

    match name:
        case "one":
            return {
                "one_blocking": run(measures.one_blocking, jobs=n // 5),
                "one_awaited": run(measures.one_awaited, jobs=n // 5),
            }
        case "concurrent":
            return {name: {str(k): run(measures.concurrent, jobs=n, at_once=k) for k in (10, 100)}}
        case "bulk":
            return {name: run(measures.bulk, jobs=n)}
        case "drain":
            return {name: run(measures.drain, jobs=n, workers=1)}
        case "latency":
            return {name: run(measures.latency, jobs=min(n, 300))}
        case "cold":
            return {name: run(measures.cold)}
        case "idle":
            return {name: run(measures.idle, seconds=20)}
        case "telemetry":
            place = partial(fresh, options.store, deadline=options.deadline)
            turns = range(options.rounds)
            found = {
                "no_op": _middle([telemetry.pair(place, jobs=n, work=0.0, first=i % 2 == 1) for i in turns]),
                "1_ms": _middle([telemetry.pair(place, jobs=n // 5, work=0.001, first=i % 2 == 1) for i in turns]),
                "unused": telemetry.unused(),
            }
            return {name: found}
        case "backlog":
            sizes = [size for size in (n, n * 5, n * 50) if size <= options.largest]
            return {name: {str(k): run(measures.drain, jobs=n, workers=1, backlog=k) for k in sizes}}
        case "claims":
            sizes = [size for size in (n, n * 5, n * 50) if size <= options.largest]
            with fresh(options.store, deadline=options.deadline) as bench:
                return {name: measures.claims(bench, backlogs=sizes)}
        case "rpc":
            return {name: run(rpc.rpc, requests=n)}
        case "snapshot":
            return {
                name: {
                    said: run(measures.snapshot, seconds=options.seconds, held=held)
                    for said, held in (("none", False), ("held", True))
                }
            }
        case _:
            counts = options.workers or range(1, options.processes + 1)
            return {name: {str(k): run(measures.fleet, jobs=n, workers=k) for k in counts}}


def _middle(rounds: list[measures.Figures]) -> measures.Figures:
    """The median of each figure; of lists the one of the first round."""
    return {
        key: value if isinstance(value, list) else median(float(found[key]) for found in rounds)  # type: ignore[arg-type]
        for key, value in rounds[0].items()
    }


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _short(item) for key, item in value.items() if key != "waits"}
    return round(value, 3) if isinstance(value, float) else value


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument(
        "measure",
        nargs="*",
        default=list(MEASURES),
        metavar="MEASURE",
        help=f"of {', '.join(MEASURES)} (default: all), {', '.join(ON_REQUEST)} (PostgreSQL)",
    )
    parser.add_argument(
        "--store", default="sqlite:////var/tmp", help="sqlite:///FOLDER (on the disk that counts) or another URL"
    )
    parser.add_argument("--jobs", type=int, default=20_000, help="jobs a drain (default 20000)")
    parser.add_argument("--largest", type=int, default=1_000_000, help="largest backlog")
    parser.add_argument("--processes", type=int, default=4, help="most worker processes")
    parser.add_argument("--workers", type=int, nargs="+", help="numbers of worker processes, instead of one to most")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long a snapshot is held open (default 60)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of which the median counts")
    parser.add_argument("--deadline", type=float, default=120.0, help="seconds one drain may take")
    parser.add_argument("--json", type=Path, help="write all figures there")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="draw SVG files there")
    options = parser.parse_args()
    every = (*MEASURES, *ON_REQUEST)
    unknown = set(options.measure) - set(every)
    if unknown:
        parser.error(f"there is no measure {min(unknown)!r}; there are {', '.join(every)}")
    if "snapshot" in options.measure and not is_postgres(options.store):
        parser.error("snapshot is measured on PostgreSQL: give --store postgresql://…")
    folder = options.store.removeprefix("sqlite:///")
    if folder != options.store and not Path(folder).is_dir():
        parser.error(f"{folder} is no folder; an absolute one has four slashes: sqlite:////srv")
    return options


if __name__ == "__main__":
    main()
