"""Checks of a model's real files, for `ovdet selftest`."""

from collections.abc import Callable, Iterator
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from ovdet_cli.detector.detector import Detector
from ovdet_cli.detector.text_tower import TextTower
from ovdet_cli.errors import OvdetError
from ovdet_cli.media.images import read_image, write_image
from ovdet_cli.models import store
from ovdet_cli.models.spec import ModelSpec
from ovdet_cli.models.zoo import EMBEDDINGS, embeddings_of
from ovdet_cli.pipeline.diagnosis import Check
from ovdet_cli.render.draw import draw_detections
from ovdet_cli.vocabulary.embed import read_embeddings
from ovdet_cli.vocabulary.prompts import fill_prompts
from ovdet_cli.vocabulary.vocabulary import Vocabulary

_LEAST_COSINE = 0.999
_LEAST_RIGHT = 0.95


def check_model(model: str | None, weights: Path | None, device: str, output: Path) -> list[Check]:
    """Loads a model strictly, compares its text tower with published embeddings, detects and draws one picture.

    output: where the annotated picture goes. What fails becomes a Check with status "error"; what depends on it is left
    out.
    """
    checks: list[Check] = []
    try:
        detector = Detector(model, weights=weights, device=device)
    except OvdetError as error:
        return [Check("weights", "error", str(error))]
    checks.append(Check("weights", "ok", f"{detector.weights} fits {detector.spec.name}, every tensor, strictly"))
    for name, check in (
        ("hash", lambda: _check_hash(detector)),
        ("text tower", lambda: _check_text_tower(detector)),
        ("detection", lambda: _check_detection(detector, output)),
    ):
        checks += _guarded(name, check)
    return checks


def _guarded(name: str, check: Callable[[], Iterator[Check]]) -> list[Check]:
    try:
        return list(check())
    except OvdetError as error:
        return [Check(name, "error", str(error))]


def _check_hash(detector: Detector) -> Iterator[Check]:
    asset = detector.spec.weights
    noted = store.facts(asset)
    found = store.hash_file(detector.weights)
    if detector.weights != store.converted_path(asset) or not noted:
        yield Check("hash", "ok", f"SHA-256 {found} (a file of your own: nothing to compare with)")
        return
    if found != noted["sha256"]:
        remedy = f"bring the file again with `ovdet models pull {detector.spec.name} --force`"
        remedy = "install ovdet again" if detector.spec.weights.bundled else remedy
        yield Check("hash", "error", f"SHA-256 {found} is not the {noted['sha256']} noted when it came", remedy)
        return
    if detector.spec.weights.bundled:
        yield Check("hash", "ok", f"SHA-256 {found}, as when it was made")
        return
    published = f"; the published file's was {noted['published_sha256']}"
    yield Check("hash", "ok", f"SHA-256 {found}, as when it was pulled{published}")


def _check_text_tower(detector: Detector) -> Iterator[Check]:
    if detector.spec.weights.bundled:
        yield _check_own_words(detector.spec)
        return
    if not detector.spec.free_words:
        yield Check("text tower", "ok", "there is none")
        return
    tower = detector.text_tower.encoder
    if detector.spec.text_encoder != "clip-vit-b-32" or not store.is_present(EMBEDDINGS["coco"]):
        vectors = tower.encode(["a cat", "a kitten", "a lorry"]).numpy()
        closer = bool(vectors[0] @ vectors[1] > vectors[0] @ vectors[2])
        detail = "a cat is nearer to a kitten than to a lorry (nothing published to compare with is here)"
        yield Check("text tower", "ok", detail) if closer else Check("text tower", "error", f"not so: {detail}")
        return
    names = Vocabulary.built_in("coco").names
    published = read_embeddings(store.require(EMBEDDINGS["coco"]))
    computed = tower.encode([f"a {name}" for name in names]).numpy()
    cosines = (computed * published).sum(axis=1) / np.linalg.norm(published, axis=1)
    worst = int(cosines.argmin())
    detail = f"cosine with the published COCO embeddings at least {cosines[worst]:.5f} ({names[worst]})"
    if cosines[worst] < _LEAST_COSINE:
        remedy = f"bring the tower again with `ovdet models pull {detector.spec.text_encoder} --force`"
        yield Check("text tower", "error", f"{detail}, under {_LEAST_COSINE}", remedy)
    else:
        yield Check("text tower", "ok", detail)


def _check_own_words(spec: ModelSpec) -> Check:
    """Whether the built-in text tower leads every name of its list to that name's own vector."""
    names = Vocabulary.built_in(spec.vocabulary).names
    vectors = read_embeddings(store.require(embeddings_of(spec)[spec.vocabulary]))
    computed = TextTower(spec).encoder.encode([fill_prompts(spec.prompt, name)[0] for name in names]).numpy()
    right = float((np.argmax(computed @ vectors.T, axis=1) == np.arange(len(names))).mean())
    detail = f"{right:.1%} of its {len(names)} names lead to their own vector"
    if right < _LEAST_RIGHT:
        return Check("text tower", "error", f"{detail}, under {_LEAST_RIGHT:.0%}", "install ovdet again")
    return Check("text tower", "ok", detail)


def _check_detection(detector: Detector, output: Path) -> Iterator[Check]:
    own = (
        Vocabulary.built_in(detector.spec.vocabulary) if detector.spec.words != "closed" else detector.own_vocabulary()
    )
    words = detector.prepare_words(own)
    with as_file(files("ovdet_cli.pipeline") / "selftest.png") as path:
        image = read_image(path)
    found = detector.detect(image, words)
    write_image(output, draw_detections(image, found, words.names))
    shown = ", ".join(f"{words.names[i]} {score:.2f}" for _, score, i, _ in found) or "nothing above the threshold"
    yield Check("detection", "ok", f"{shown}; look at {output}")
