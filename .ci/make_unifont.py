"""Makes ovdet_cli/render/font_data/unifont.npz: the bitmaps of GNU Unifont for all characters that DejaVu lacks.

    apt-get install fonts-unifont        # 15.0.01; from 13.0.04 on Unifont is under the SIL Open Font License 1.1 too
    python .ci/make_unifont.py [folder of unifont.otf and unifont_upper.otf]

code_steps: uint32 (G,), differences of the sorted code points. advances: uint8 (G,), 16, 8, or 0 for a mark, whose cell
ends where the character before it ends. bits_xz: LZMA of uint8 (G, 32), 16 columns of 16 bits, the top one first.
"""

import lzma
import sys
import unicodedata
from pathlib import Path

import numpy as np
from PIL import ImageFont

from ovdet_cli.render.fonts import FONT_DATA, BitmapFont, first_font, read_coverage

CELL, BASELINE = BitmapFont.cell, BitmapFont.baseline
# Controls, surrogates and private use have nothing to show; format characters are dropped before they are drawn.
UNSEEN = {"Cc", "Cf", "Cs", "Co"}


def rasterise(font: ImageFont.FreeTypeFont, code: int) -> tuple[np.ndarray, int]:
    """The cell, bool (16, 16), and the advance of one character."""
    mask, (left, top) = font.getmask2(chr(code), mode="1", anchor="ls")
    ink = np.frombuffer(bytes(mask), np.uint8).reshape(mask.size[1], mask.size[0]) > 0
    advance = round(font.getlength(chr(code)))
    left = min(max(left if advance else left + CELL, 0), CELL - ink.shape[1])
    cell = np.zeros((CELL, CELL), bool)
    cell[BASELINE + top : BASELINE + top + ink.shape[0], left : left + ink.shape[1]] = ink
    return cell, advance


def main(folder: Path) -> None:
    """Reads both fonts and writes the file."""
    glyphs: dict[int, tuple[np.ndarray, int]] = {}
    for name in ("unifont.otf", "unifont_upper.otf"):
        font = ImageFont.truetype(folder / name, CELL, layout_engine=ImageFont.Layout.BASIC)
        for code in read_coverage(folder / name).tolist():
            if not first_font().has(code) and unicodedata.category(chr(code)) not in UNSEEN:
                glyphs[code] = rasterise(font, code)
    codes = sorted(glyphs)
    cells = np.stack([glyphs[code][0] for code in codes])
    bits = np.packbits(cells.transpose(0, 2, 1).reshape(len(codes), -1), axis=1)
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 0, "lp": 1, "pb": 1}]
    packed = lzma.compress(bits.tobytes(), format=lzma.FORMAT_XZ, filters=filters)
    path = FONT_DATA / "unifont.npz"
    np.savez_compressed(
        path,
        code_steps=np.diff(codes, prepend=0).astype(np.uint32),
        advances=np.array([glyphs[code][1] for code in codes], np.uint8),
        bits_xz=np.frombuffer(packed, np.uint8),
    )
    print(f"{path}: {len(codes)} glyphs, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "/usr/share/fonts/opentype/unifont"))
