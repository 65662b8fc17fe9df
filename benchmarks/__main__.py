"""Run the benchmarks: `python -m benchmarks quick|full [--only P1,P2]`, or `page` to write the page anew."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from benchmarks import echo, growth, in_process, neighbour, over_servers, report, transfer
from benchmarks.effort import FULL, QUICK, Effort
from benchmarks.measure import Case

GROUPS: dict[str, Callable[[Effort], list[Case]]] = {
    "P1": in_process.wsgi_to_asgi,
    "P2": in_process.asgi_to_wsgi,
    "P3,P4,P5": over_servers.flask,
    "P6": over_servers.fastapi,
    "P7": in_process.streamed_blocks,
    "P10": in_process.import_time,
    "P8,P9": transfer.transfer,
    "P11": growth.growth,
    "P12": neighbour.neighbour,
    "P13": over_servers.observed,
    "P14": echo.echo,
}
"""By the measures that each takes."""

LONG = ("P8,P9", "P11", "P12", "P13", "P14")
"""Left out of a quick run, unless they are named."""


def main() -> None:
    """Measure, print, and store."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("mode", choices=["quick", "full", "page"])
    parser.add_argument("--only", default="", help="measures, parted by commas: P1,P7")
    arguments = parser.parse_args()
    if arguments.mode == "page":
        publish(report.Results.read(report.LATEST))
        return
    results = run(arguments.mode, [name for name in arguments.only.split(",") if name])
    print("\n\n".join([report.circumstances(results), report.summary(results), report.details(results)]))
    if arguments.mode == "full" and not arguments.only:
        results.save(report.LATEST)
        publish(results)
    else:  # the page shows whole and thorough runs only
        results.save(report.SCRATCH)


def run(mode: str, only: list[str]) -> report.Results:
    """Take the measures."""
    effort = FULL if mode == "full" else QUICK
    cases: list[Case] = []
    for measures, measure in GROUPS.items():
        wanted = (
            set(measures.split(",")).intersection(only) if only else mode == "full" or measures not in LONG
        )
        if not wanted:
            continue
        start = time.monotonic()
        cases += measure(effort)
        print(f"{measures}: {time.monotonic() - start:.0f} s", file=sys.stderr)
    cases.sort(key=lambda case: int(case.measure[1:]))
    return report.Results(report.about(mode), cases)


def publish(results: report.Results) -> None:
    """Draw the plots and write the page."""
    from benchmarks import plots

    report.PAGE.write_text(report.page(results, plots.draw(results)), "utf-8")
    print(f"wrote {report.PAGE.relative_to(report.ROOT)}", file=sys.stderr)


if __name__ == "__main__":
    main()
