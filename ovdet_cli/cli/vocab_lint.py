"""`ovdet vocab lint`: what will not work in a vocabulary."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from ovdet_cli.cli import console
from ovdet_cli.cli import vocab_options as o
from ovdet_cli.errors import MissingAssetError

if TYPE_CHECKING:
    import numpy as np

    from ovdet_cli.detector.text_tower import TextTower
    from ovdet_cli.models.spec import ModelSpec
    from ovdet_cli.vocabulary.findings import Finding
    from ovdet_cli.vocabulary.vocabulary import Vocabulary

_SHOWN = 20  # findings of a kind in the table
_MOST_UNFAMILIAR = 200  # names whose nearest class is looked up, which takes a few milliseconds each


def lint(
    vocab: o.Named = None,
    classes: o.Classes = None,
    model: o.Model = None,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", metavar="T", min=0, max=1, help="Score of a detection. Default: the model's own."),
    ] = None,
    json: o.AsJson = False,
) -> None:
    """Find what will not work in a vocabulary, and say why and what to write instead. It refuses nothing.

    Example: ovdet vocab lint --classes "guitr,person or dog,puppy,dog"
    """
    from ovdet_cli.detector.detector import choose_model

    spec = choose_model(model, None)
    vocabulary = o.named_vocabulary(vocab, classes)
    result = _look(vocabulary, spec, spec.rules.threshold if threshold is None else threshold)
    if json:
        rows = [asdict(finding) for finding in result.findings]
        console.print_json(
            {"model": spec.name, "findings": rows, "more": result.more, "left_out": list(result.left_out)}
        )
    elif result.findings:
        _print_table(result.findings)
    for reason in result.left_out:
        console.warn(f"left out: {reason}")
    _summarise(result, len(vocabulary), is_table=not json)


@dataclass
class _Result:
    """All that was found; how many more of a kind there are; what could not be looked at, and why."""

    findings: "list[Finding]" = field(default_factory=list)
    more: dict[str, int] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def add(self, findings: "list[Finding]", more: int = 0) -> None:
        self.findings += findings
        if findings and more:
            self.more[findings[0].kind] = more


def _look(vocabulary: "Vocabulary", spec: "ModelSpec", threshold: float) -> _Result:
    from ovdet_cli.vocabulary.lint import check_entries, check_lengths, distinct_phrases, token_counter
    from ovdet_cli.vocabulary.prompts import fill_templates

    entries = vocabulary.entries
    result = _Result(check_entries(entries))
    if spec.words != "free":
        why = "its text tower was never published" if spec.words == "embedded" else "it answers to its own classes only"
        result.left_out.append(f"the checks on {spec.name}'s text vectors, as {why}")
        return result
    cut, cut_phrases = check_lengths(entries, spec.prompt, *token_counter(spec.text_encoder))
    result.add(cut)
    places = {phrase: place for phrase, place in distinct_phrases(entries).items() if phrase not in cut_phrases}
    if not places:
        return result
    try:
        tower = _tower(spec)
        sentences = [
            fill_templates(entries[place].templates or (spec.prompt,), phrase) for phrase, place in places.items()
        ]
        vectors = tower.embed_sentences(sentences, list(places))
        _compare(vocabulary, tower, places, vectors, threshold, result)
    except MissingAssetError as error:
        result.left_out.append(f"the checks on text vectors, as {error}")
    return result


def _tower(spec: "ModelSpec") -> "TextTower":
    from ovdet_cli.detector.text_tower import TextTower
    from ovdet_cli.models import store
    from ovdet_cli.models.checkpoint import read_checkpoint

    if not spec.has_text_tower:
        return TextTower(spec)
    weights = store.require(spec.weights)
    return TextTower(spec, read_checkpoint(weights), str(weights), lambda: store.sha256_of(weights))


def _compare(
    vocabulary: "Vocabulary",
    tower: "TextTower",
    places: dict[str, int],
    vectors: "np.ndarray",
    threshold: float,
    result: _Result,
) -> None:
    """The checks that need vectors, a row a phrase."""
    from ovdet_cli.detector.separability import check_scores
    from ovdet_cli.vocabulary.lint import NEAR_BUILTIN, NEAR_CLIP, check_closeness

    limit = NEAR_BUILTIN if tower.spec.text_encoder == "builtin-text" else NEAR_CLIP
    result.add(*check_closeness(vocabulary.entries, places, vectors, limit))
    findings, left_out = check_scores(vocabulary, tower, places, vectors, threshold, limit)
    result.add(findings)
    result.left_out += left_out
    if tower.spec.knows:
        result.add(*_find_unfamiliar(vocabulary, places, tower))


def _find_unfamiliar(
    vocabulary: "Vocabulary", places: dict[str, int], tower: "TextTower"
) -> "tuple[list[Finding], int]":
    from ovdet_cli.detector.familiarity import TaughtEncoder, acquaint
    from ovdet_cli.vocabulary.findings import Finding
    from ovdet_cli.vocabulary.prompts import fill_prompts

    encoder, spec = tower.encoder, tower.spec
    if not isinstance(encoder, TaughtEncoder):
        return [], 0
    # `acquaint` looks up what is spelt alike, which is too slow for all of a long list.
    sure = encoder.familiarity([fill_prompts(spec.prompt, phrase)[0] for phrase in places])
    strange = [phrase for phrase, own in zip(places, sure, strict=True) if own < encoder.familiar_threshold]
    words = acquaint(strange[:_MOST_UNFAMILIAR], spec, encoder) if strange else ()
    findings = [
        Finding(
            "unfamiliar",
            (vocabulary.names[places[word.name]],),
            f'"{word.name}" is unlike anything the {spec.name} model has learnt ({word.familiarity:.2f} of 1)',
            f'the nearest class that it knows is "{word.nearest}"; or choose another model',
        )
        for word in words or ()
        if not word.is_familiar
    ]
    return findings, len(strange[_MOST_UNFAMILIAR:])


def _print_table(findings: "list[Finding]") -> None:
    seen: Counter[str] = Counter()
    rows = []
    for finding in findings:
        seen[finding.kind] += 1
        if seen[finding.kind] <= _SHOWN:
            rows.append((finding.kind, ", ".join(finding.names[:3]), finding.message, finding.suggestion))
    console.print_table(None, ("kind", "names", "what", "suggestion"), rows)


def _summarise(result: _Result, num_names: int, *, is_table: bool) -> None:
    counts = Counter(finding.kind for finding in result.findings)
    counts.update(result.more)
    if not counts:
        console.say(f"nothing found in {num_names} names")
        return
    kinds = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
    is_cut = is_table and max(counts.values()) > _SHOWN
    shown = f"; the table shows {_SHOWN} of a kind, --json more" if is_cut else ""
    console.say(f"{counts.total()} finding{'s' * (counts.total() > 1)} in {num_names} names: {kinds}{shown}")
