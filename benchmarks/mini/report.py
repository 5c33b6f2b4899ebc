"""Writes RESULTS.md from the benchmark's results.jsonl: means over seeds and their range.

python benchmarks/mini/report.py OUT/results.jsonl
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "RESULTS.md"
ROWS = {
    "start": "start: base boxes",
    "boxes": "box-supervised: more base boxes",
    "max_size": "image labels, max-size",
    "max_score": "image labels, max-score",
    "wsddn": "image labels, WSDDN",
}
PARENT_ROWS = {
    "parent_boxes": "boxes of the parent alone",
    "parent_max_size": "and image labels of the kinds, max-size",
}
Line = dict[str, Any]


def spread(values: list[float | None]) -> str:
    """Mean and range."""
    known = [v for v in values if v is not None]
    if not known:
        return "-"
    mean = sum(known) / len(known)
    return f"{mean:.1f}" if len(known) == 1 else f"{mean:.1f} ({min(known):.1f} .. {max(known):.1f})"


def table(lines: list[Line], rows: dict[str, str], columns: dict[str, Callable[[Line], float | None]]) -> list[str]:
    """A Markdown table, a row a stage."""
    text = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for stage, title in rows.items():
        own = [line for line in lines if line["stage"] == stage]
        if own:
            seeds = {line["seed"] for line in lines}
            title += f" ({len(own)} of {len(seeds)} seeds)" if len(own) < len(seeds) else ""
            cells = [spread([value(line) for line in own]) for value in columns.values()]
            text.append(f"| {title} | " + " | ".join(cells) + " |")
    return text


def number(set_name: str, group: str, what: str = "box", measure: str = "ap50") -> Callable[[Line], float | None]:
    """How to read a number from a line."""
    return lambda line: line["sets"].get(set_name, {}).get(what, {}).get(group, {}).get(measure)


def differences(lines: list[Line], group: str, stages: tuple[str, str], set_name: str) -> list[float]:
    """AP50 of the second stage minus the first's, a number a seed."""
    read = number(set_name, group)
    by_stage = {(line["stage"], line["seed"]): read(line) for line in lines}
    seeds = sorted({seed for _, seed in by_stage})
    pairs = [(by_stage.get((stages[0], seed)), by_stage.get((stages[1], seed))) for seed in seeds]
    return [second - first for first, second in pairs if first is not None and second is not None]


def text_of(lines: list[Line]) -> str:
    """The whole page."""
    known = list(dict.fromkeys(name for line in lines for name in line["sets"]))
    sets = [name for name in known if not name.startswith("kinds")]
    kind_sets = [name for name in known if name.startswith("kinds")]
    seeds = sorted({line["seed"] for line in lines})
    dates = sorted({line["date"] for line in lines})
    page = ["# Results of the miniature benchmark", ""]
    page += [
        "Written by `python benchmarks/mini/report.py`; what the words mean stands in README.md. Percent; mean over "
        f"{len(seeds)} seeds, in brackets least and most.",
        "",
        f"Command: `python -m benchmarks.mini.run --artwork FOLDER --out FOLDER --seeds {' '.join(map(str, seeds))}`. "
        f"{dates[0]} to {dates[-1]}, {', '.join(sorted({line['processor'] for line in lines}))}, one thread, "
        f"torch {lines[0]['torch']}, artwork {lines[0]['artwork'][:12]}.",
        f"Plan: {', '.join(f'{k} {v}' for k, v in lines[0]['plan'].items())}.",
        "",
    ]
    for title, stage in (("max-size", "max_size"), ("max-score", "max_score"), ("WSDDN", "wsddn")):
        novel, base = (differences(lines, group, ("boxes", stage), sets[0]) for group in ("novel", "base"))
        if novel:
            gains = f"novel {spread([*novel])}, base {spread([*base])}"
            page.append(f"- {title} minus box-supervised, AP50 on {sets[0]}: {gains}.")
    kinds = differences(lines, "kind", ("parent_boxes", "parent_max_size"), "kinds")
    if kinds:
        page.append(
            f"- Kinds of a parent that alone has boxes, with image labels minus without: AP50 {spread([*kinds])}."
        )
    for name in sets:
        columns = {
            "AP50 novel": number(name, "novel"),
            "AP50 base": number(name, "base"),
            "AP novel": number(name, "novel", measure="ap"),
            "AP base": number(name, "base", measure="ap"),
            "mask AP50 novel": number(name, "novel", "mask"),
            "mask AP50 base": number(name, "base", "mask"),
            "AP50 any name": number(name, "any name"),
        }
        page += ["", f"## {name[0].upper()}{name[1:]}", "", *table(lines, ROWS, columns)]
    page += ["", f"## By size, {sets[0]}", "", "AP of boxes: objects below 32², below 96², above (pixels).", ""]
    sizes = {
        f"{group} {size}": number(sets[0], group, measure=size)
        for group in ("novel", "base")
        for size in ("small", "medium", "large")
    }
    page += table(lines, ROWS, sizes)
    page += ["", "## Boxes for the parent, image labels for its kinds", ""]
    if any(line["stage"] in PARENT_ROWS for line in lines):
        page += ["AP50 of the kinds, over all names.", ""]
        columns = {f"AP50 {name}": number(name, "kind") for name in kind_sets}
        columns |= {"mask AP50 kinds": number("kinds", "kind", "mask"), "AP50 base": number("kinds", "base")}
        page += table(lines, PARENT_ROWS, columns)
    else:
        page += ["Not run yet."]
    page += ["", "## CPU-seconds", ""]
    page += table(lines, ROWS | PARENT_ROWS, {"CPU-seconds": lambda line: line["cpu_seconds"]})
    return "\n".join(page) + "\n"


def main() -> None:
    """Reads, writes and shows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="+", help="results.jsonl of one run or several")
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    lines = [json.loads(line) for path in asked.results for line in path.read_text(encoding="utf-8").splitlines()]
    text = text_of(lines)
    asked.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
