"""Makes the README's picture, samples/rendering.jpg: `python samples/show_rendering.py`. Needs ovdet and no download.

What it shows is what the built-in model finds in the sample, at its own threshold.
"""

from pathlib import Path

from ovdet_cli import Detector, Vocabulary
from ovdet_cli.media.images import read_image, write_image
from ovdet_cli.render.draw import draw_detections

SAMPLES = Path(__file__).parent


def main() -> None:
    """Detects, draws and writes."""
    image = read_image(SAMPLES / "posts" / "stickers.jpg")
    words = Vocabulary.load(SAMPLES / "words.txt")
    found = Detector("builtin", device="cpu", precision="fp32").detect(image, words)
    write_image(SAMPLES / "rendering.jpg", draw_detections(image, found, words.names))
    print(", ".join(f"{words.names[i]} {score:.2f}" for _, score, i, _ in found) or "nothing found")


if __name__ == "__main__":
    main()
