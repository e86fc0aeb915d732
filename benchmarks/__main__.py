"""The command line: ``python -m benchmarks [--long] [--only NAME …]``."""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from pathlib import Path

from cameleer_registry.version import __version__

from . import machine, report
from .figures import Row
from .measures import MEASURES, before
from .scale import LONG, SHORT


def main() -> None:
    """Run measures, print each as it comes, and write all of them down."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--long", action="store_true", help="for the record: some ten minutes")
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=list(MEASURES))
    parser.add_argument(
        "--save", action="store_true", help=f"keep the result as results/{__version__}.json"
    )
    parser.add_argument("--before", type=Path, help="a checkout of the version before")
    arguments = parser.parse_args()
    measures = dict(MEASURES)
    if arguments.before is not None:
        measures["before"] = partial(before.measure, before=arguments.before)
    scale = LONG if arguments.long else SHORT
    machine.allow_descriptors()
    machine.share_out()
    about = {
        "version": __version__,
        "scale": scale.name,
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine.describe(),
    }
    rows: list[Row] = []
    for name in arguments.only:
        for row in measures[name](scale):
            rows.append(row)
            print(report.as_table([row]).splitlines()[-1], file=sys.stderr, flush=True)
    print(report.as_table(rows))
    if arguments.save:
        Path(report.RESULTS, f"{__version__}.json").write_text(report.as_json(rows, about))


if __name__ == "__main__":
    main()
