"""Which artwork packages exist for the miniature world: version, hash, licence, and what each may be used for."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["train", "extra", "unseen", "clutter", "words"]


@dataclass(frozen=True)
class ArtworkSet:
    """One npm package.

    style: our name for its look; also the folder it is unpacked to.
    role: `train`: a main style. `extra`: a training style that covers few categories. `unseen`: evaluation only.
        `clutter`: only drawings of nothing in the list. `words`: labels and keywords.
    files: what is taken from it, paths inside the package.
    integrity: the registry's own hash of the package file.
    """

    style: str
    package: str
    version: str
    licence: str
    author: str
    role: Role
    integrity: str
    files: tuple[str, ...] = ("icons.json", "chars.json")

    @property
    def is_share_alike(self) -> bool:
        """Whether what is derived must carry the same licence: such a set is never trained on."""
        return "-SA-" in self.licence or "GPL" in self.licence


def _icons(style: str, version: str, licence: str, author: str, role: Role, integrity: str) -> ArtworkSet:
    return ArtworkSet(style, f"@iconify-json/{style}", version, licence, author, role, f"sha512-{integrity}")


SETS: tuple[ArtworkSet, ...] = (
    _icons(
        "noto",
        "1.2.9",
        "Apache-2.0",
        "Google",
        "train",
        "DQiuXENbun41ch+XPSV55H9FaWKpHTyz46YIKtSaKYD4fIDDzL1tR6H4np/T38jfrTAeI3rcKF0mqHYeZVAuaw==",
    ),
    _icons(
        "noto-v1",
        "1.2.5",
        "Apache-2.0",
        "Google",
        "train",
        "/DsVMius69Q0fRS53z7QK1TROSuar606jiIx+laXtdsYGMXpf6LtHBx6CGfoo3UHHb/XpBsw+1L1x3eyPqMuVA==",
    ),
    _icons(
        "twemoji",
        "1.2.5",
        "CC-BY-4.0",
        "Twitter, Inc and other contributors",
        "train",
        "uKpuIEV0v6K5BW3Mjdyl+XKFVAbbcPxAgifKvEMtZoUZB5+YiY5zaMm2uNNCxyXzAWU9yNLlj41WU6/mvgALsw==",
    ),
    _icons(
        "fluent-emoji",
        "1.2.7",
        "MIT",
        "Microsoft",
        "train",
        "D8G6bKAyIsyxP1rzZtIWr/gg/fO4Rg1+DyCWlfqKK4h8W+4Em/Y0P6QYgJUQTlUcagzJvSyg+9OBv4hz4Hc/QA==",
    ),
    _icons(
        "fluent-emoji-flat",
        "1.2.6",
        "MIT",
        "Microsoft",
        "train",
        "RY47RgPb47fYUiyrA64sIOL0+UU02s29sXpNBbIQRBUlPlfNFTKUmZDERGuxDs/7yNGWqQYvuaSYM1M4fRXlUw==",
    ),
    _icons(
        "emojione",
        "1.2.3",
        "CC-BY-4.0",
        "EmojiOne",
        "train",
        "T9+T3HIbJNLKKsmxYKlaYhvnHYkz/HNYTV7SHCXVZPfeUi4FqskY70YeN8yYAZT8cCv7w5vJxS4Q1m8zb9CMMg==",
    ),
    _icons(
        "game-icons",
        "1.2.4",
        "CC-BY-3.0",
        "the authors of game-icons.net",
        "extra",
        "/HDDZxowXgDJcOEwPspUCq5RuDdl25OyZKdtxqqiPJQNTrWIym7r4StLzIVs77DyNzOWWhH5wDqwYR3WHeDfkg==",
    ),
    _icons(
        "streamline-ultimate-color",
        "1.2.2",
        "CC-BY-4.0",
        "Streamline",
        "extra",
        "NAbD3xLtg3069865B5CLUulp/eowPNCiDfJBxVAmA+LKLPpxU7EIEJ2+mSfWriPd+ahORWyqjRnoPVkTJopEgg==",
    ),
    _icons(
        "streamline-kameleon-color",
        "1.2.2",
        "CC-BY-4.0",
        "Streamline",
        "extra",
        "6vFS3ILSmy3w6R1v2nVolNFf9pLuUihOUqyUNVXp0HliWIR6RpJIsWue0Fc6MVri7wde+SWzMJeLAXWU3zE43g==",
    ),
    _icons(
        "flat-color-icons",
        "1.2.3",
        "MIT",
        "Icons8",
        "extra",
        "KcmJ7CY0TKFv5GuBjiS4/v++jEcNXna1jfY+yq014tnw/MN/jMI2oYpoMHGuIpYtUqDu7eove+WySnOYO8nS3w==",
    ),
    _icons(
        "fluent-color",
        "1.2.21",
        "MIT",
        "Microsoft",
        "clutter",
        "VETjGx7BMpVsCR3HV5g5t6oBGZ92XKzIRClS5xUvDn1YHAkQTF9OyF/aFdtxYOC8JROoI1SNO/Ql6jZeK7mroA==",
    ),
    _icons(
        "meteocons",
        "1.2.4",
        "MIT",
        "Bas Milius",
        "clutter",
        "E7YV02ql5WmJgAOpXU/hoF9Mdshq73KjwR6fBxZ5SrqMJghMa3CIcRG6NQGwP4I1uBOhIjOFlAikYoPAKuT56A==",
    ),
    _icons(
        "fxemoji",
        "1.2.2",
        "Apache-2.0",
        "Mozilla",
        "unseen",
        "UAasRaxzFUKfIGSmLwnoarsssA4LX0VLLuEmplIqM6ZNQqIQRtav8tZ4H1neTlBreXuMQyAifr5jP4kn78DpiQ==",
    ),
    _icons(
        "openmoji",
        "1.2.29",
        "CC-BY-SA-4.0",
        "OpenMoji",
        "unseen",
        "vXdhkqcXVSO6suy+m9LbcUM3OdVyuNOtpV8/als/WqfkQIRxevL5Geb/g+6GH/Qwnq1OqksEmaDGTCmZ5nFKJQ==",
    ),
    _icons(
        "emojione-v1",
        "1.2.3",
        "CC-BY-SA-4.0",
        "EmojiOne",
        "unseen",
        "UjI2VQEXVtGlPBvQuxEizro7QCgBcJDOYwKUupquvvZ8UV4xOlvm45IU82JYWegiAWLerY79gFLMZ26U6Ms+ww==",
    ),
    ArtworkSet(
        "emojibase-data",
        "emojibase-data",
        "17.0.0",
        "MIT",
        "Miles Johnson",
        "words",
        "sha512-Yvgb5AWoHViHV/gq1qr5ZAarcBip+B27/ZLRsUJkbgAEaLlZ/fof9g882LTpmEpyhBNEC0m2SEmItljHsTygjA==",
        ("en/data.json", "meta/groups.json", "meta/unicode-names.json"),
    ),
    ArtworkSet(
        "emojilib",
        "emojilib",
        "4.0.3",
        "MIT",
        "Mu-An Chiou",
        "words",
        "sha512-KbWiYre9aRSaPbHrHZIz9zmoM+21LAsK1VFJtnTh1VCtWE/rNMDviGhQTmselFl95dhqtGlY22iH0leG5BuW0g==",
        ("dist/emoji-en-US.json",),
    ),
)
"""All packages. fluent-emoji and fluent-emoji-flat are the same drawings, shaded and flat."""

SAME_DRAWINGS = frozenset({"fluent-emoji", "fluent-emoji-flat"})
"""Styles that show each other's drawings: nothing of them is ever held out."""


def find_set(style: str) -> ArtworkSet:
    """The package of a style. Raises ValueError for an unknown one."""
    for item in SETS:
        if item.style == style:
            return item
    raise ValueError(f"unknown style {style!r}; known: {', '.join(item.style for item in SETS)}")
