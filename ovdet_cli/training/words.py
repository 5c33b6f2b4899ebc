"""The text tower fitted to what pictures taught: class vectors first, words after.

Names, synonyms and their forms are drawn to the vector of their class; other words of the language to the mixture of
classes that WordNet puts them near (`kinship.py`); misspelt words and words far from every class are held off, and a
logit beside the vector learns to tell them from the rest.
"""

# N sentences, C classes, D embedding width

import functools
import itertools
import math
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ovdet_cli.models.text_encoders.mini import (
    CONTEXT,
    EMBEDDING,
    SCALE,
    MiniTextEncoder,
    MiniTextTower,
    MiniTokenizer,
    pack_tower,
)
from ovdet_cli.training.kinship import Kinship, Named, find_kinship
from ovdet_cli.training.word_forms import pluralise
from ovdet_cli.training.word_lessons import Lesson, Lessons, WordsConfig
from ovdet_cli.training.word_measures import Listed, measure_words
from ovdet_cli.training.wordnet import WordNet

Progress = Callable[[int, int, float], None]
"""Called with the step, all steps and the loss."""


_CUTS = (0.55, 0.88)  # of a batch by length: about 5, 8 and 14 tokens


def fit_words(
    class_vectors: np.ndarray,
    categories: Sequence[Listed],
    wordnet: WordNet,
    config: WordsConfig | None = None,
    progress: Progress | None = None,
    kinship: Kinship | None = None,
) -> tuple[MiniTextEncoder, dict[str, float]]:
    """A text tower for class vectors float32 (C, 192) of unit length, and the rates of `measure_words`.

    The same numbers on one thread give the same tower. kinship: of these very categories, where it is there already.
    """
    config = config or WordsConfig()
    if class_vectors.shape != (len(categories), EMBEDDING):
        raise ValueError(f"{len(categories)} categories, but class vectors of shape {class_vectors.shape}")
    started = time.process_time()
    lessons = Lessons(categories, wordnet, kinship or find_kinship(wordnet, categories), config)
    tokenizer = MiniTokenizer()
    vectors_CD = F.normalize(torch.from_numpy(class_vectors).float(), dim=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        tower = MiniTextTower(tokenizer.size)
        _start_as_bag_of_words(tower, tokenizer, vectors_CD, lessons)
    loss = _train(tower, tokenizer, vectors_CD, lessons, config, progress)
    _choose_threshold(tower, tokenizer, categories, config)
    tower.classes = vectors_CD
    encoder = MiniTextEncoder(pack_tower(tower), "the fitted tower")
    report = {"loss": loss, "cpu_s": time.process_time() - started, "threshold": encoder.familiar_threshold}
    return encoder, report | measure_words(encoder, vectors_CD.numpy(), categories, lessons.is_word)


@torch.no_grad()
def _start_as_bag_of_words(
    tower: MiniTextTower, tokenizer: MiniTokenizer, vectors_CD: Tensor, lessons: Lessons
) -> None:
    """Sets the tower, still random, so that a sentence gives about the mean of its tokens, and each token about the
    mean of what it helps to say.

    In place of the usual start this halved what is left to learn after 56,000 sentences: 62 % of the synonyms right
    instead of 35 %, 21 % of the held-out ones among the first three instead of 12 % (stand-in class vectors).
    """
    rows_TD = torch.zeros(tokenizer.size, EMBEDDING)
    for lesson, weight in lessons.teachers():
        if tokens := _encode(lesson.text, tokenizer):
            wanted_D = torch.tensor(lesson.weights) @ vectors_CD[list(lesson.classes)]
            rows_TD.index_add_(0, torch.tensor(tokens), (weight / len(tokens) * wanted_D).expand(len(tokens), -1))
    noise_TD = F.normalize(torch.randn(rows_TD.shape), dim=1)
    is_taught = rows_TD.norm(dim=1, keepdim=True) > 1e-3
    # 0.8 and 0.6: unit length again. The marks at both ends say nothing.
    rows_TD = torch.where(is_taught, 0.8 * F.normalize(rows_TD, dim=1) + 0.6 * noise_TD, noise_TD)
    rows_TD[tokenizer.start :] *= 0.1
    tower.text.token_embedding.weight.copy_(rows_TD)
    for block in tower.text.transformer.resblocks:
        block.attn.out_proj.weight.mul_(0.1)
        block.mlp.c_proj.weight.mul_(0.1)
    # The last layer hands the tokens on as they are, and so does the projection.
    last = tower.text.transformer.resblocks[-1].attn
    last.in_proj_weight[2 * EMBEDDING :] = torch.eye(EMBEDDING)
    last.out_proj.weight.copy_(torch.eye(EMBEDDING))
    tower.text.text_projection.copy_(torch.eye(EMBEDDING))


def _train(
    tower: MiniTextTower,
    tokenizer: MiniTokenizer,
    vectors_CD: Tensor,
    lessons: Lessons,
    config: WordsConfig,
    progress: Progress | None,
) -> float:
    decayed = [p for p in tower.parameters() if p.dim() == 2 and p is not tower.text.token_embedding.weight]
    rest = [p for p in tower.parameters() if not any(p is d for d in decayed)]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98))
    tower.train()
    mean = 0.0
    for step in range(config.steps):
        rate = min(1.0, (step + 1) / config.warmup) * 0.5 * (1 + math.cos(math.pi * step / config.steps))
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * rate
        loss = _loss(tower, tokenizer, vectors_CD, lessons.draw(), config)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(tower.parameters(), 1.0)
        optimizer.step()
        mean = loss.item() if step == 0 else mean + 0.02 * (loss.item() - mean)
        if progress is not None:
            progress(step + 1, config.steps, mean)
    tower.eval()
    return mean


def _loss(
    tower: MiniTextTower, tokenizer: MiniTokenizer, vectors_CD: Tensor, lessons: Sequence[Lesson], config: WordsConfig
) -> Tensor:
    lessons, vectors_ND, familiar_N = _forward(tower, tokenizer, lessons, config)
    cosines_NC = vectors_ND @ vectors_CD.T
    wanted_NC = torch.zeros_like(cosines_NC)
    for row, lesson in enumerate(lessons):
        wanted_NC[row, list(lesson.classes)] = torch.tensor(lesson.weights)
    named_N = torch.tensor([lesson.is_name for lesson in lessons], dtype=torch.float32)
    far_N = torch.tensor([not lesson.classes for lesson in lessons], dtype=torch.float32)
    of_class = -(wanted_NC * F.log_softmax(SCALE * cosines_NC, dim=1)).sum()
    aligned = (named_N * (1 - (vectors_ND * F.normalize(wanted_NC @ vectors_CD, dim=1)).sum(dim=1))).sum()
    held_off = (far_N[:, None] * F.relu(cosines_NC - 0.25).square()).sum()
    told = [(row, lesson.familiar) for row, lesson in enumerate(lessons) if lesson.familiar is not None]
    rows, truth = [row for row, _ in told], torch.tensor([familiar for _, familiar in told])
    of_familiar = F.binary_cross_entropy_with_logits(familiar_N[rows], truth, reduction="sum")
    return (of_class + config.align * aligned + held_off + 2 * of_familiar) / len(lessons)


def _forward(
    tower: MiniTextTower, tokenizer: MiniTokenizer, lessons: Sequence[Lesson], config: WordsConfig
) -> tuple[list[Lesson], Tensor, Tensor]:
    """The lessons, short ones first, with their vectors and logits; in parts of like length, to save padding."""
    rows = [(_encode(lesson.text, tokenizer), lesson) for lesson in lessons]
    rows.sort(key=lambda row: len(row[0]))
    cuts = [0, *(round(cut * len(rows)) for cut in _CUTS), len(rows)]
    padded = [tokenizer.pad([tokens for tokens, _ in rows[a:b]]) for a, b in itertools.pairwise(cuts) if a < b]
    # The table is looked up once: each look-up costs a gradient as large as the table.
    embedded = tower.text.token_embedding(torch.cat([tokens.flatten() for tokens, _ in padded]))
    parts = embedded.split([tokens.numel() for tokens, _ in padded])
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=config.bf16):
        found = [
            tower.read(part.view(*tokens.shape, -1), ends) for part, (tokens, ends) in zip(parts, padded, strict=True)
        ]
    vectors, familiar = zip(*found, strict=True)
    return [lesson for _, lesson in rows], torch.cat(vectors), torch.cat(familiar)


def _encode(text: str, tokenizer: MiniTokenizer) -> list[int]:
    """Tokens of a sentence, cut to the context; token by token the same as those of its words."""
    tokens = [token for word in text.split() for token in _encode_word(word, tokenizer)]
    return tokens[: CONTEXT - 2]


@functools.lru_cache(maxsize=1 << 17)
def _encode_word(word: str, tokenizer: MiniTokenizer) -> tuple[int, ...]:
    return tuple(tokenizer.encode(word))


@torch.inference_mode()
def _choose_threshold(
    tower: MiniTextTower, tokenizer: MiniTokenizer, categories: Sequence[Named], config: WordsConfig
) -> None:
    texts = [text for category in categories for text in (category.name, pluralise(category.name), *category.synonyms)]
    logits = [tower(*tokenizer.pad([tokenizer.encode(text)[: CONTEXT - 2]]))[1] for text in dict.fromkeys(texts)]
    tower.threshold.fill_(torch.cat(logits).quantile(config.false_reports).item())
