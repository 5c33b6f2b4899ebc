"""Made-up reports to open by hand or to measure: `python pages.py FOLDER`, with the repository on PYTHONPATH."""

import sys
from pathlib import Path

from ovdet_cli.render.page.page import write_page
from tests.render.page import payloads

MAKERS = {
    "likely": payloads.made_up,
    "hostile": payloads.hostile,
    "huge": payloads.huge,
    "nothing": payloads.nothing,
    "only_failures": payloads.only_failures,
    "nulls": payloads.nulls,
}

for name, make in MAKERS.items():
    path = Path(sys.argv[1]) / f"{name}.html"
    print(f"{path}: {write_page(make(), path) / 1e6:.2f} MB")
