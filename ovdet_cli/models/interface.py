"""What every architecture promises, in two halves: pictures -> regions with features; features x texts -> scores."""

# R regions, S sets of features a region has (Detic: cascade stages), D embedding width, C classes, N kept detections

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Regions:
    """The class-agnostic first half for one picture: all that new words need to be answered later.

    boxes_R4: float32 (R, 4), x1 y1 x2 y2 in pixels of the network's input, inside the picture.
    objectness_R: float32 (R,), how sure the proposal head is, in [0, 1].
    features_RSD: float32 (R, S, D), L2-normalised where the classifier is a cosine; it multiplies these with the text
    embeddings.
    """

    boxes_R4: Tensor
    objectness_R: Tensor
    features_RSD: Tensor


@dataclass(frozen=True)
class TextRows:
    """What stands around the classes' texts where a softmax runs over a table of fixed height.

    background_D: the first row. empty_D: what the table is filled up with behind the classes. height: of the table; a
    longer list of classes has no padding.
    """

    background_D: Tensor
    empty_D: Tensor
    height: int

    @property
    def sha256(self) -> str:
        """Hash of the two rows' numbers."""
        rows = torch.stack((self.background_D, self.empty_D)).float().cpu().contiguous()
        return hashlib.sha256(rows.numpy().tobytes()).hexdigest()

    def around(self, texts_CD: Tensor) -> Tensor:
        """The whole table: background, classes, padding."""
        missing = max(self.height - 1 - len(texts_CD), 0)
        return torch.cat((self.background_D[None], texts_CD, self.empty_D.expand(missing, -1)))


class OpenVocabularyDetector(nn.Module, ABC):
    """A detector cut in two: `extract` and `propose` never see a word, `classify` never sees a picture."""

    @abstractmethod
    def extract(self, pixels: Tensor) -> list[Tensor]:
        """Normalised, padded pictures (B, 3, H, W) -> feature pyramid, finest level first.

        Another map that `propose` needs may stand behind the levels.
        """

    @abstractmethod
    def propose(self, pyramid: list[Tensor], sizes_hw: list[tuple[int, int]]) -> list[Regions]:
        """Feature pyramid -> the regions of each picture, whose unpadded sizes are given."""

    @abstractmethod
    def classify(
        self, regions: Regions, texts: Tensor, is_novel_C: Tensor | None = None, rows: TextRows | None = None
    ) -> Tensor:
        """Text embeddings (C, D), or (S, C, D) where each set of features has its own -> scores (R, C) in [0, 1].

        is_novel_C: which classes had no boxes in training, for models that score those otherwise; None: the model's
        usual way. rows: for models whose softmax runs over a table of fixed height; the scores of its padding then
        stand behind those of the classes, for suppression to see.
        """

    @abstractmethod
    def predict_masks(self, pyramid: list[Tensor], boxes: list[Tensor]) -> list[Tensor]:
        """Boxes (N, 4) in network pixels, a tensor a picture -> mask probabilities (N, M, M) inside them."""
