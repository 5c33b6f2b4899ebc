"""A WordNet of a handful of words, in the form of `wndb(5WN)`."""

from pathlib import Path

_LICENCE = "  1 This software and database is being provided to you.\n"
# offset, field, words, links, gloss
_NOUNS = (
    ("00000001", "03", "thing", (), "whatever there is"),
    ("00000002", "05", "animal", ("@ 00000001",), "a living thing that moves"),
    ("00000003", "05", "dog domestic_dog", ("@ 00000002", "%p 00000006"), 'an animal that barks; "the dog ran"'),
    ("00000004", "05", "puppy", ("@ 00000003",), "a young dog"),
    ("00000005", "13", "apple", ("@ 00000001",), "a round fruit"),
    ("00000006", "08", "tail", ("@ 00000001",), "the part behind"),
    ("00000007", "09", "philosophy", (), "the love of wisdom"),
    ("00000008", "15", "Lassie", ("@i 00000003",), "a famous collie"),
    ("00000009", "05", "terrier", ("@ 00000003",), "bred to hunt"),
    ("00000010", "13", "pippin", ("@ 00000005",), "a kind to eat raw"),
)
_VERBS = (("00000001", "38", "bark", ("+ 00000003 n",), "to make the sound of an animal"),)


def write_wordnet(folder: Path) -> Path:
    """Writes the files and gives the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, pos, rows in (("noun", "n", _NOUNS), ("verb", "v", _VERBS), ("adj", "a", ()), ("adv", "r", ())):
        data, index = [_LICENCE], {}
        for offset, field, words, links, gloss in rows:
            lemmas = words.split()
            full = [link if link.count(" ") == 2 else f"{link} {pos}" for link in links]
            parts = [offset, field, pos, f"{len(lemmas):02x}", *(f"{lemma} 0" for lemma in lemmas)]
            parts += [f"{len(links):03d}", *(f"{link} 0000" for link in full)]
            data.append(f"{' '.join(parts)} | {gloss}  \n")
            for lemma in lemmas:
                index.setdefault(lemma.lower(), []).append(offset)
        lines = [f"{w} {pos} {len(o)} 1 @ {len(o)} 0 {' '.join(o)}  \n" for w, o in sorted(index.items())]
        (folder / f"data.{name}").write_text("".join(data))
        (folder / f"index.{name}").write_text(_LICENCE + "".join(lines))
    return folder
