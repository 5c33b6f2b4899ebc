"""CLIP's text towers (arXiv:2103.00020), with open_clip's modules and tokenizer."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import open_clip
import torch
import torch.nn.functional as F
from open_clip.transformer import QuickGELU, TextTransformer
from torch import Tensor

from ovdet_cli.models.checkpoint import KeyMap, load_weights, read_checkpoint, write_safetensors

# OpenAI trained with the quick GELU, x * sigmoid(1.702 x); the exact one gives other embeddings.
ARCHITECTURES = {
    "clip-vit-b-32": "ViT-B-32-quickgelu",
    "clip-rn50": "RN50-quickgelu",
    "clip-rn50x4": "RN50x4-quickgelu",
    "clip-rn50x16": "RN50x16-quickgelu",
}

KEY_MAP: KeyMap = (
    # The picture tower and what compares the two.
    (r"visual\..*", None),
    (r"logit_scale|logit_bias", None),
    # Constants of OpenAI's own file.
    (r"input_resolution|context_length|vocab_size", None),
    (r"(text\.)?attn_mask", None),
    (r"(?:text\.)?(transformer\..*|token_embedding\..*|ln_final\..*|positional_embedding|text_projection)", r"\1"),
)


class ClipTextEncoder:
    """Sentences -> unit vectors of one of CLIP's text towers, which goes by its name in the zoo."""

    def __init__(self, tensors: Mapping[str, Tensor], origin: str, name: str = "clip-vit-b-32") -> None:
        config = open_clip.get_model_config(ARCHITECTURES[name])
        text = config["text_cfg"]
        self.embedding = int(config["embed_dim"])
        self._tower = TextTransformer(
            context_length=text["context_length"],
            vocab_size=text["vocab_size"],
            width=text["width"],
            heads=text["heads"],
            layers=text["layers"],
            output_dim=self.embedding,
            act_layer=QuickGELU,
        ).eval()
        load_weights(self._tower, tensors, KEY_MAP, origin)
        self._tokenizer = open_clip.get_tokenizer(ARCHITECTURES[name])
        self.context = int(text["context_length"])

    @classmethod
    def from_file(cls, path: Path, name: str = "clip-vit-b-32") -> "ClipTextEncoder":
        """The tower of a CLIP checkpoint: whole or text tower alone, in open_clip's names."""
        return cls(read_checkpoint(path), str(path), name)

    def num_tokens(self, sentence: str) -> int:
        """Tokens of a sentence with its start and end marks; more than `context` do not fit."""
        return len(self._tokenizer.encode(sentence)) + 2

    @torch.inference_mode()
    def encode(self, sentences: Sequence[str], batch: int = 256) -> Tensor:
        """Unit vectors float32 (N, D), row by row. Sentences longer than the context must not come here."""
        rows = [self._encode_batch(sentences[i : i + batch]) for i in range(0, len(sentences), batch)]
        return F.normalize(torch.cat(rows).float(), dim=1)

    def _encode_batch(self, sentences: Sequence[str]) -> Tensor:
        """The tower's own steps on as many tokens as the longest sentence has.

        Attention is causal, so what pads a sentence behind its end mark changes nothing, and words take a tenth of the
        context. The end mark has the highest number of all tokens.
        """
        tower = self._tower
        tokens = self._tokenizer(list(sentences))
        ends = tokens.argmax(dim=1)
        length = int(ends.max()) + 1
        x = tower.token_embedding(tokens[:, :length]) + tower.positional_embedding[:length]
        x = tower.transformer(x, attn_mask=tower.attn_mask[:length, :length])
        return tower.ln_final(x)[torch.arange(len(x)), ends] @ tower.text_projection


def convert_text_tower(source: Path, target: Path, name: str = "clip-vit-b-32") -> None:
    """Writes the text tower alone of a CLIP checkpoint as safetensors, under its own names; atomic."""
    encoder = ClipTextEncoder.from_file(source, name)
    write_safetensors({name: tensor.contiguous() for name, tensor in encoder._tower.state_dict().items()}, target)


def clip_sentences(name: str) -> list[str]:
    """A name in the 80 templates of CLIP's ImageNet classifier, as published."""
    return [template(name) for template in open_clip.OPENAI_IMAGENET_TEMPLATES]


def imagenet_sentences(name: str) -> list[str]:
    """A name in the 80 templates of CLIP's ImageNet classifier, in lower case."""
    return [sentence.lower() for sentence in clip_sentences(name)]
