"""`ovdet report` on 10 million detections in 1 million made-up posts: seconds and peak memory.

    python -m benchmarks.report.scale [--posts 1000000] [--folder FOLDER] [--formats jsonl parquet]

The terminal's summary alone, and with the page and all tables, out of each kind of records. Pictures are not there, so
the page has no thumbnails; those cost 10 to 30 ms a picture and core, and there are at most some hundred.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

from benchmarks.query.measured import measured
from benchmarks.query.stand_ins import OVDET, machine
from benchmarks.report.made_up import make


def main() -> None:
    """Makes, reports, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=1_000_000)
    parser.add_argument("--labels", type=int, default=800)
    parser.add_argument("--folder", type=Path, help="where there is room (default: the system's)")
    parser.add_argument("--formats", nargs="+", default=["jsonl"], choices=["jsonl", "parquet"])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as name:
        run = Path(name) / "run"
        make(run, asked.posts, asked.labels)
        print(machine())
        print("| records | what | seconds | CPU-seconds | peak MB | page MB |\n|---|---|---|---|---|---|")
        for kind in asked.formats:
            records = run / "detections.jsonl"
            if kind == "parquet":
                made = Path(name) / "parquet"
                measured([*OVDET, "convert", str(run), "--to", "parquet", "-o", str(made)])
                shutil.copy(run / "run.json", made)
                records = made
            for what, options in (
                ("terminal", ["--no-html", "--tables", "none"]),
                ("terminal, all tables and the page", ["-o", str(Path(name) / f"report-{kind}")]),
            ):
                command = [*OVDET, "report", str(records), "--metadata", str(run / "metadata.csv"), "-q", *options]
                taken = measured(command)
                page = Path(name) / f"report-{kind}" / "report.html"
                size = f"{page.stat().st_size / 1e6:.1f}" if page.is_file() else ""
                print(
                    f"| {kind} | {what} | {taken['seconds']:.1f} | {taken['cpu_seconds']:.1f} | {taken['peak_mb']:.0f} "
                    f"| {size} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
