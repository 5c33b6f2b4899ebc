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

    def select(self, rows: Tensor) -> "Regions":
        """The regions that `rows` (bool (R,) or indices) names."""
        return Regions(self.boxes_R4[rows], self.objectness_R[rows], self.features_RSD[rows])


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

    def num_padding(self, num_classes: int) -> int:
        """Rows that stand behind so many classes."""
        return max(self.height - 1 - num_classes, 0)

    def to(self, device: torch.device) -> "TextRows":
        """The same on a device."""
        return TextRows(self.background_D.to(device), self.empty_D.to(device), self.height)


class OpenVocabularyDetector(nn.Module, ABC):
    """A detector cut in two: `extract` and `propose` never see a word, `classify` never sees a picture."""

    CLASSIFIER: tuple[str, ...] = ()
    """Patterns of the names of the weights that `classify` reads: with these few alone, stored regions can be asked."""

    @abstractmethod
    def extract(self, pixels: Tensor) -> list[Tensor]:
        """Normalised, padded pictures (B, 3, H, W) -> feature pyramid, finest level first.

        Another map that `propose` needs may stand behind the levels.
        """

    @abstractmethod
    def propose(self, pyramid: list[Tensor], sizes_hw: list[tuple[int, int]]) -> list[Regions]:
        """Feature pyramid -> the regions of each picture, whose unpadded sizes are given."""

    def best_scores(self, objectness_R: Tensor) -> Tensor:
        """The highest score (R,) that any word can give each region."""
        return torch.ones_like(objectness_R)

    def may_reach(self, regions: Regions, texts: Tensor, least: float) -> Tensor | None:
        """Regions (bool (R,)) among which are all that one of these texts lifts above a score.

        None where that costs as much as to classify them.
        """
        return None

    @abstractmethod
    def classify(
        self,
        regions: Regions,
        texts: Tensor,
        is_novel_C: Tensor | None = None,
        rows: TextRows | None = None,
        class_of_P: Tensor | None = None,
    ) -> Tensor:
        """Text embeddings (P, D), or (S, P, D) where each set of features has its own -> scores (R, C) in [0, 1].

        class_of_P: the class of each phrase, in order (None: every phrase is a class); the best counts.
        is_novel_C: which classes had no boxes in training, for models that score those otherwise; None: the model's
        usual way. rows: for models whose softmax runs over a table of fixed height; the scores of its padding then
        stand behind those of the classes, for suppression to see.
        """

    @abstractmethod
    def predict_masks(self, pyramid: list[Tensor], boxes: list[Tensor]) -> list[Tensor]:
        """Boxes (N, 4) in network pixels, a tensor a picture -> mask probabilities (N, M, M) inside them."""
