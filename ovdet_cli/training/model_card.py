"""The model card that stands beside the built-in model's weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ATTRIBUTION = Path(__file__).parent / "data" / "ATTRIBUTION.md"
_LOG_ROWS = 12

RETRAIN = """\
pip install "ovdet[train]"
python -m ovdet_cli.training.artwork_build artwork            # fetches and draws the artwork once, about 650 MB
python -m ovdet_cli.training.shipped builtin-run artwork      # trains, fits the words, calibrates, measures, packs"""


@dataclass(frozen=True)
class Shipped:
    """What the card tells.

    facts: of facts.json. config: the run's whole configuration. log: its lines. results: benchmark -> figure.
    """

    facts: Mapping[str, Any]
    config: Mapping[str, Any]
    log: Sequence[Mapping[str, Any]]
    results: Mapping[str, str]


def model_card(shipped: Shipped, num_classes: int) -> str:
    """The card as Markdown."""
    facts = shipped.facts
    files = "".join(f"| `{name}` | {f['size']:,} | `{f['sha256']}` |\n" for name, f in facts["files"].items())
    sections = (
        ("The built-in model of ovdet", _WHAT.format(num_classes=num_classes)),
        ("Results", _results(shipped.results)),
        ("Limits", _LIMITS),
        ("Files", f"| file | bytes | SHA-256 |\n|---|---|---|\n{files}"),
        ("Training", _training(shipped)),
        ("Retrain it", f"```\n{RETRAIN}\n```\n\nThe same seed and artwork draw the same scenes in the same order.\n"),
    )
    text = "\n".join(f"{'#' if i == 0 else '##'} {title}\n\n{body}" for i, (title, body) in enumerate(sections))
    return text + "\n" + _demoted(_ATTRIBUTION.read_text(encoding="utf-8"))


_WHAT = """\
A Detic detector ([arXiv:2201.02605](https://arxiv.org/abs/2201.02605)) of six million weights and a small text tower,
trained from nothing by ovdet itself on scenes that it composes of emoji and icons: {num_classes} everyday things with
boxes, masks and names, over backgrounds of screens, text, patterns and photograph-like noise. No photograph and nothing
pretrained took part. It is for stickers, emoji, icons and drawings in pictures, screenshots and clips, and for trying
ovdet without a download. For photographs: `ovdet models pull detic-swin-b`.

The weights are under ovdet's licence, Apache-2.0; the drawings that they were learnt from are listed below.
"""

_LIMITS = """\
- Photographs are not its world: there it mostly finds nothing, and what it finds may be wrong.
- It knows drawings in the styles of the usual emoji sets best; outlines and silhouettes far less.
- Names: the list, its plurals and many synonyms. A word far from all of them is reported as unfamiliar.
- Look-alikes are confused (dog and wolf, cup and mug), and things under 16 pixels are missed.
- It must not decide about persons: people here are emoji.
"""


def _results(results: Mapping[str, str]) -> str:
    if not results:
        return "Not measured: these weights are an interim state of a run.\n"
    return "| on | figure |\n|---|---|\n" + "".join(f"| {name} | {value} |\n" for name, value in results.items())


def _training(shipped: Shipped) -> str:
    facts, config = shipped.facts, shipped.config
    run, optimizer = config["run"], config["optimizer"]
    lines = [
        f"- seed {run['seed']}, {facts['iterations']} of {facts['planned_iterations']} iterations, "
        f"{facts['seconds'] / 60:.0f} minutes, {run['precision']}, averaged with {run['ema']}",
        f"- AdamW, learning rate {optimizer['learning_rate']:g}, weight decay {optimizer['weight_decay']:g}",
        f"- artwork (`Artwork.fingerprint`) `{facts['artwork_sha256']}`",
        "- configuration: `ovdet_cli/training/configs/builtin.toml`; `log.jsonl` beside this card is the log",
    ]
    columns = ("iteration", "total", "loss_cls_stage1", "loss_centernet_agn_pos", "loss_mask")
    rows = [line for line in shipped.log if "total" in line]
    step = max(1, -(-len(rows) // _LOG_ROWS))
    shown = sorted({*range(0, len(rows), step), len(rows) - 1} - {-1})
    table = "".join("| " + " | ".join(_cell(rows[i].get(c)) for c in columns) + " |\n" for i in shown)
    evaluations = [line for line in shipped.log if any(key.startswith("eval_") for key in line)]
    told = "".join(f"- {_evaluation(line)}\n" for line in evaluations)
    head = "| " + " | ".join(columns) + " |\n|" + "---|" * len(columns) + "\n"
    return (
        "\n".join(lines) + f"\n\n{head}{table}" + (f"\nOn scenes kept apart, during training:\n{told}" if told else "")
    )


def _evaluation(line: Mapping[str, Any]) -> str:
    figures = (f"{key.removeprefix('eval_')} {value:.3f}" for key, value in line.items() if key.startswith("eval_"))
    return f"iteration {line['iteration']}: {', '.join(figures)}"


def _cell(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value if value is not None else "")


def _demoted(markdown: str) -> str:
    """With its headings one level lower."""
    return "".join(f"#{line}\n" if line.startswith("#") else f"{line}\n" for line in markdown.splitlines())
