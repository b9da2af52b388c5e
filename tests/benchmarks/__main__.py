"""`python -m tests.benchmarks [--only NAME,...] [--short] [--json FILE]`: measure, and print a table.

Ends with 0 also where a figure is not reached, for that may be the machine's fault, and with 1 where one could not be
measured at all.
"""

import argparse
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import orjson

from tests.benchmarks import report
from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import SHORT, Measurement, Row, Sizes
from tests.benchmarks.measurements import MEASUREMENTS


def main() -> int:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="What a run costs on this machine.")
    names = [measurement.name for measurement in MEASUREMENTS]
    parser.add_argument("--only", help=f"of {', '.join(names)}: those alone, separated by commas")
    parser.add_argument("--short", action="store_true", help="see that it runs; the figures mean nothing")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    given = parser.parse_args()
    wanted = given.only.split(",") if given.only else names
    if unknown := set(wanted) - set(names):
        parser.error(f"there is no measurement {', '.join(sorted(unknown))}: choose from {', '.join(names)}")

    began, command = time.monotonic(), shlex.join(["python", "-m", "tests.benchmarks", *sys.argv[1:]])
    chosen = [measurement for measurement in MEASUREMENTS if measurement.name in wanted]
    rows = _rows(chosen, SHORT if given.short else Sizes())
    told = report.document(command, rows, time.monotonic() - began)
    print(report.table(rows))
    print(f"\n{orjson.dumps(told['machine']).decode()}\nagain with: {command}")
    if given.json is not None:
        given.json.write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2))
    return int(any(row.measured is None for row in rows))


def _rows(measurements: Sequence[Measurement], sizes: Sizes) -> list[Row]:
    for variable in [name for name in os.environ if name.startswith(("ASSISTANTD_", "OPENAI_"))]:
        del os.environ[variable]  # a developer's own settings would decide what is measured
    room = Path(tempfile.mkdtemp(prefix="assistantd-bench-"))
    room.chmod(0o711)  # servers that root starts run as somebody else
    try:
        with Bench(sizes, room) as bench:
            return [row for measurement in measurements for row in _measure(bench, measurement)]
    finally:
        shutil.rmtree(room)


def _measure(bench: Bench, measurement: Measurement) -> list[Row]:
    """A measurement that fails has rows that say so; the others go on with a system of their own."""
    print(f"measuring {measurement.name} …", file=sys.stderr, flush=True)
    values, problem = {}, ""
    try:
        values = measurement.measure(bench)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other figures are still wanted
        problem = repr(error)
        bench.discard()
    load = os.getloadavg()[0]
    return [Row(figure, values.get(figure.key), load, problem) for figure in measurement.figures]


if __name__ == "__main__":
    sys.exit(main())
