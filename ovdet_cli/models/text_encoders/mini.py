"""The built-in model's words: a small CLIP-like text tower (arXiv:2103.00020) that we train ourselves.

The modules are open_clip's, and so is the tokenizer, cut to the first 8,000 of its merges: a word that CLIP knows whole
may be two pieces here. Differences from CLIP: hyphens and underscores are blanks; the last layer reads the classes that
the pictures taught, so that a sentence is a mixture of what the detector can see; beside the vector stands one number,
how sure the tower is that it learnt such words (`familiarity`), because a word that means nothing has a nearest class
too.
"""

# N sentences, L tokens, D embedding width, C classes

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from open_clip.tokenizer import SimpleTokenizer
from open_clip.transformer import TextTransformer
from torch import Tensor, nn

from ovdet_cli.models.checkpoint import KeyMap, load_weights, read_checkpoint, write_safetensors

NUM_MERGES = 8000
CONTEXT = 16
EMBEDDING = 192
_WIDTH, _LAYERS, _HEADS = 192, 3, 6
SCALE = 24.0
"""Of the cosine to a class, in training and in reading."""

_TABLE = "text.token_embedding.weight"
_ROW_SCALE = "text.token_embedding.row_scale"
_KEY_MAP: KeyMap = ((r"(.*)", r"\1"),)


class MiniTokenizer:
    """Sentences -> CLIP's tokens with 8,000 merges: 512 bytes, the merges, start, end (8,514 in all)."""

    def __init__(self) -> None:
        cut = SimpleTokenizer(context_length=CONTEXT)
        pieces = list(cut.encoder)[: 512 + NUM_MERGES]
        self.start, self.end = len(pieces), len(pieces) + 1
        self.size = len(pieces) + 2
        cut.encoder = {piece: number for number, piece in enumerate(pieces)}
        cut.bpe_ranks = {pair: rank for pair, rank in cut.bpe_ranks.items() if rank < NUM_MERGES}
        # What looks like a special token is text like any other: with neither in the table it is spelt out.
        cut.cache = {}
        self._clip = cut

    def encode(self, sentence: str) -> list[int]:
        """Tokens of a sentence, in lower case, without start and end."""
        return [int(token) for token in self._clip.encode(sentence.replace("_", " ").replace("-", " "))]

    def pad(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Tokens int64 (N, L) between start and end marks, as wide as the longest row, and each row's end (N,)."""
        ends = torch.tensor([len(row) + 1 for row in rows])
        tokens = torch.zeros(len(rows), int(ends.max()) + 1, dtype=torch.long)
        for place, row in enumerate(rows):
            tokens[place, : len(row) + 2] = torch.tensor([self.start, *row, self.end])
        return tokens, ends


class MiniTextTower(nn.Module):
    """Tokens -> vectors, and the logit of having learnt such words."""

    threshold: Tensor
    classes: Tensor | None

    def __init__(self, num_tokens: int, num_classes: int = 0) -> None:
        super().__init__()
        self.text = TextTransformer(
            context_length=CONTEXT,
            vocab_size=num_tokens,
            width=_WIDTH,
            heads=_HEADS,
            layers=_LAYERS,
            output_dim=EMBEDDING,
        )
        self.familiar = nn.Linear(_WIDTH, 1)
        # Logits below it are reported; chosen when the tower was trained, and part of the weights.
        self.register_buffer("threshold", torch.zeros(()))
        # What the detector learnt to tell apart; none while the tower is in training.
        self.register_buffer("classes", torch.zeros(num_classes, EMBEDDING) if num_classes else None)

    def forward(self, tokens: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
        """Unit vectors (N, D) and logits (N,) of tokens (N, L) that end at `ends` (N,).

        Attention is causal, so what pads a row behind its end mark changes nothing.
        """
        return self.read(self.text.token_embedding(tokens), ends)

    def read(self, embedded: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
        """The same from rows of the token table (N, L, width)."""
        text, length = self.text, embedded.shape[1]
        x = embedded + text.positional_embedding[:length]
        x = text.transformer(x, attn_mask=text.attn_mask[:length, :length])
        x = text.ln_final(x[torch.arange(len(x)), ends])
        return F.normalize((x @ text.text_projection).float(), dim=1), self.familiar(x).float()[:, 0]

    def recall(self, vectors_ND: Tensor) -> Tensor:
        """Unit vectors (N, D) as mixtures of the class vectors that they are near: attention over what was seen.

        Without it a name misses its class vector by an angle, which costs every region some of its score.
        """
        if self.classes is None:
            return vectors_ND
        shares_NC = torch.softmax(SCALE * vectors_ND @ self.classes.T, dim=1)
        return F.normalize(shares_NC @ self.classes, dim=1)


class MiniTextEncoder:
    """Sentences -> unit vectors of the built-in text tower, and how familiar each is."""

    embedding = EMBEDDING
    context = CONTEXT

    def __init__(self, tensors: Mapping[str, Tensor], origin: str) -> None:
        self._tokenizer = MiniTokenizer()
        num_classes = len(tensors["classes"]) if "classes" in tensors else 0
        self._tower = MiniTextTower(self._tokenizer.size, num_classes).eval()
        load_weights(self._tower, _unpack(tensors), _KEY_MAP, origin)

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """The tower in a safetensors file, as `pack_tower` makes its tensors."""
        return cls(read_checkpoint(path), str(path))

    def save(self, path: Path, *, int8_table: bool = True) -> None:
        """Writes the tower as safetensors, in half precision; atomic."""
        write_safetensors(pack_tower(self._tower, int8_table=int8_table), path)

    def num_tokens(self, sentence: str) -> int:
        """Tokens of a sentence with its start and end marks; more than `context` do not fit."""
        return len(self._tokenizer.encode(sentence)) + 2

    def encode(self, sentences: Sequence[str], batch: int = 256) -> Tensor:
        """Unit vectors float32 (N, 192), row by row. Sentences longer than the context must not come here."""
        return self._tower.recall(self._run(sentences, batch)[0])

    @property
    def familiar_threshold(self) -> float:
        """A sentence whose familiarity is below it is far from all that the tower learnt."""
        return float(torch.sigmoid(self._tower.threshold))

    def familiarity(self, sentences: Sequence[str], batch: int = 256) -> np.ndarray:
        """How sure the tower is that it learnt such words, float32 (N,) in 0 to 1.

        Names of its classes, words that mean the like and their forms are near 1; misspellings, and words for what
        cannot be drawn as one of its classes, near 0. Below `familiar_threshold` a word should be reported.
        """
        return torch.sigmoid(self._run(sentences, batch)[1]).numpy()

    @torch.inference_mode()
    def _run(self, sentences: Sequence[str], batch: int) -> tuple[Tensor, Tensor]:
        rows = [self._tokenizer.encode(sentence) for sentence in sentences]
        vectors, logits = torch.empty(len(rows), EMBEDDING), torch.empty(len(rows))
        order = sorted(range(len(rows)), key=lambda place: len(rows[place]))
        for start in range(0, len(rows), batch):
            places = order[start : start + batch]
            vectors[places], logits[places] = self._tower(*self._tokenizer.pad([rows[place] for place in places]))
        return vectors, logits


def pack_tower(tower: MiniTextTower, *, int8_table: bool = True) -> dict[str, Tensor]:
    """The tower's tensors in half precision, by name.

    int8_table: the token table, half of all weights, as int8 with one scale a row: 4.4 MB in place of 6.0.
    """
    tensors = {name: tensor.detach().half().contiguous() for name, tensor in tower.state_dict().items()}
    if int8_table:
        table = tower.text.token_embedding.weight.detach().float()
        scale = (table.abs().amax(dim=1, keepdim=True) / 127).clamp(min=1e-6).half()
        tensors[_TABLE] = (table / scale.float()).round().clamp(-127, 127).to(torch.int8)
        tensors[_ROW_SCALE] = scale
    return tensors


def _unpack(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    unpacked = {name: tensors[name] for name in tensors if name != _ROW_SCALE}
    if _ROW_SCALE in tensors and _TABLE in tensors:
        unpacked[_TABLE] = tensors[_TABLE].float() * tensors[_ROW_SCALE].float()
    return unpacked
