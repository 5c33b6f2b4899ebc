"""Cascade box heads (arXiv:1712.00726) whose classifier is text, and the class-agnostic mask head.

Follows facebookresearch/Detic 436cda2a (Apache-2.0) and detectron2's CascadeROIHeads.
"""

# N regions of all pictures, R of one picture, K channels, H hidden width, P bins a side, S stages, D embedding width,
# C classes

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovdet_cli.models.ops.phrases import best_phrases
from ovdet_cli.models.ops.screening import table_of

# Where the class logit begins when it is learned: about one class in a thousand is right.
_RARE_LOGIT = -7.0

Number = float | Tensor


class CascadeStage(nn.Module):
    """Pooled features (N, K, P, P) -> unit embeddings (N, D) and box deltas (N, 4).

    logit_scale, if given, makes the factor on the cosine and the offset of the class logit weights of the stage.
    """

    def __init__(self, in_features: int, hidden: int, embedding: int, logit_scale: float | None = None) -> None:
        super().__init__()
        self.logit_scale: nn.Parameter | None = None
        self.logit_bias: nn.Parameter | None = None
        if logit_scale is not None:
            self.logit_scale = nn.Parameter(torch.tensor(logit_scale))
            self.logit_bias = nn.Parameter(torch.tensor(_RARE_LOGIT))
        self.fc1 = nn.Linear(in_features, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.project = nn.Linear(hidden, embedding)
        self.deltas = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 4))

    def learned_scale(self) -> tuple[Tensor, Tensor] | None:
        """(factor on the cosine, offset of the class logit) where they are weights of the stage."""
        if self.logit_scale is None or self.logit_bias is None:
            return None
        return self.logit_scale, self.logit_bias

    def describe(self, pooled: Tensor) -> Tensor:
        """Pooled features -> the hidden features (N, H) that all outputs start from."""
        return F.relu(self.fc2(F.relu(self.fc1(pooled.flatten(1)))))

    def embed(self, hidden_NH: Tensor) -> Tensor:
        """Hidden features -> unit embeddings (N, D)."""
        return F.normalize(self.project(hidden_NH).float(), dim=1)

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        hidden_NH = self.describe(pooled)
        return self.embed(hidden_NH), self.deltas(hidden_NH).float()


class MaskHead(nn.Module):
    """Pooled features (N, K, P, P) -> class-agnostic mask probabilities (N, 2P, 2P)."""

    def __init__(self, in_channels: int, channels: int, num_convs: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(in_channels if i == 0 else channels, channels, 3, padding=1) for i in range(num_convs)
        )
        self.upsample = nn.ConvTranspose2d(channels, channels, 2, stride=2)
        self.predictor = nn.Conv2d(channels, 1, 1)

    def logits(self, pooled: Tensor) -> Tensor:
        """The same before the sigmoid."""
        x = pooled
        for conv in self.convs:
            x = F.relu(conv(x))
        return self.predictor(F.relu(self.upsample(x))).float().squeeze(1)

    def forward(self, pooled: Tensor) -> Tensor:
        return torch.sigmoid(self.logits(pooled))


def zero_shot_scores(
    features_RSD: Tensor,
    texts: Tensor,
    scales: Sequence[tuple[Number, Number]],
    class_of_P: Tensor | None = None,
) -> Tensor:
    """Detic's zero-shot classifier (arXiv:2201.02605, section 3.1): cosine times a temperature, averaged over stages.

    Returns the mean over the S stages of sigmoid(temperature x cosine + offset): (R, C).

    scales: (temperature, offset) of each stage.

    texts: (P, D) as they come, of any length (a zero row stays zero); or (S, P, D), each set's own classifier, used as
    it is. class_of_P: the class of each phrase, see `best_phrases`; None: each is a class. The official code appends a
    zero column for the background, which at inference is never looked at.
    One set at a time, so that memory stays at R x C however many sets there are.
    """
    num_sets = features_RSD.shape[1]
    table = table_of(texts)
    total = None
    for s in range(num_sets):
        temperature, offset = scales[s]
        logits_RC = best_phrases(temperature * features_RSD[:, s] @ table.of_set(s).T, class_of_P)
        scores = logits_RC.add_(offset).sigmoid_()
        total = scores if total is None else total.add_(scores)
    assert total is not None
    return total.div_(num_sets)
