"""Templates: a name -> the sentences that are embedded, whose mean stands for it."""

from collections.abc import Sequence

SIMPLE = "simple"
"""The name with its article, "a {}"."""

DETIC = "detic"
"""What Detic's demo embeds, "a {}" as well."""

VILD = "vild"
"""The 63 templates of ViLD's demo notebook."""

IMAGENET = "imagenet"
"""The 80 templates of CLIP's ImageNet classifier, in lower case as F-VLM and DITO write them."""

CLIP80 = "clip80"
"""The same 80 as CLIP published them: the name keeps its case."""

SETS = (SIMPLE, DETIC, VILD, CLIP80, IMAGENET)
"""Template sets that go by a name."""

# A: the name with its article, T: with "the", X: alone.
_VILD_TEMPLATES = (
    *("There is A in the scene.", "There is T in the scene."),
    *("a photo of A in the scene.", "a photo of T in the scene.", "a photo of one X in the scene."),
    *("itap of A.", "itap of my X.", "itap of T."),
    *("a photo of A.", "a photo of my X.", "a photo of T.", "a photo of one X.", "a photo of many X."),
    *("a good photo of A.", "a good photo of T.", "a bad photo of A.", "a bad photo of T."),
    *(
        f"a photo of {article} {quality} X."
        for quality in ("nice", "cool", "weird", "small", "large", "clean", "dirty")
        for article in ("a", "the")
    ),
    *("a bright photo of A.", "a bright photo of T.", "a dark photo of A.", "a dark photo of T."),
    *("a photo of a hard to see X.", "a photo of the hard to see X."),
    *(
        f"a {quality} photo of {name}."
        for quality in ("low resolution", "cropped", "close-up", "jpeg corrupted", "blurry", "pixelated")
        for name in ("A", "T")
    ),
    *("a black and white photo of T.", "a black and white photo of A."),
    *(f"{article} {kind} X." for kind in ("plastic", "toy", "plushie", "cartoon") for article in ("a", "the")),
    *("an embroidered X.", "the embroidered X.", "a painting of T.", "a painting of a X."),
)


def fill_prompts(prompt: str, name: str) -> list[str]:
    """The sentences for a name. prompt: a template with `{}` in the name's place, or the name of a set."""
    if prompt == VILD:
        return _vild(name)
    if prompt in (IMAGENET, CLIP80):
        from ovdet_cli.models.text_encoders.clip import clip_sentences, imagenet_sentences

        return imagenet_sentences(name) if prompt == IMAGENET else clip_sentences(name)
    if prompt in (SIMPLE, DETIC):
        prompt = "a {}"
    if "{}" not in prompt:
        raise ValueError(f"the template {prompt!r} has no {{}} for the name")
    return [prompt.replace("{}", name)]


def fill_templates(templates: Sequence[str], name: str) -> list[str]:
    """The sentences of several templates and sets, one after the other."""
    return [sentence for template in templates for sentence in fill_prompts(template, name)]


def _vild(name: str) -> list[str]:
    """As the notebook writes them: names cleaned, "This is" before what begins with an article."""
    article = "an" if name[:1] in "aeiou" else "a"
    clean = name.replace("_", " ").replace("/", " or ").lower().rstrip(".")
    forms = {"A": f"{article} {clean}", "T": f"the {clean}", "X": clean}
    sentences = []
    for template in _VILD_TEMPLATES:
        words = [forms.get(word.rstrip("."), word.rstrip(".")) for word in template.split(" ")]
        sentence = " ".join(words) + "."
        begins = sentence.startswith(("a", "the"))
        sentences.append(f"This is {sentence}" if begins else sentence)
    return sentences
