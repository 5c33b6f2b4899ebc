"""All that a Detic training changes, in one module: the detector, the class vectors, WSDDN's second head."""

# C classes, D embedding width

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovdet_cli.models.detic.model import Detic
from ovdet_cli.training.batches import Batch
from ovdet_cli.training.detic import DeticRecipe, DeticStep, ProposalScores


class TrainedDetic(nn.Module):
    """A detector with the classifier's columns: fixed text embeddings, or vectors that train with it.

    texts_CD: embeddings (C, D) of any length, fixed; or where learned ones begin.
    """

    def __init__(self, detector: Detic, texts_CD: Tensor, is_learned: bool, recipe: DeticRecipe) -> None:
        super().__init__()
        self.detector = detector
        self.class_vectors: Tensor
        if is_learned:
            self.class_vectors = nn.Parameter(texts_CD.clone())
        else:
            self.register_buffer("class_vectors", texts_CD.clone())
        self.proposal_scores = (
            ProposalScores(detector.config.hidden, len(texts_CD), detector.config.num_stages)
            if recipe.image_loss == "wsddn"
            else None
        )

    @property
    def texts_CD(self) -> Tensor:  # noqa: N802 (a shape, as in other tensor names)
        """The classifier's unit columns."""
        return F.normalize(self.class_vectors, dim=1)


class DeticLosses:
    """The loop's view of a training step."""

    def __init__(
        self,
        trained: TrainedDetic,
        recipe: DeticRecipe,
        class_weights_C: Tensor | None = None,
        half: Callable[[], AbstractContextManager[object]] = nullcontext,
        half_heads: bool = False,
    ) -> None:
        self._trained = trained
        self._step = DeticStep(
            trained.detector,
            recipe,
            class_weights_C,
            trained.proposal_scores,
            half=half,
            half_heads=half_heads,
        )

    def __call__(self, batch: Batch, generator: torch.Generator) -> Mapping[str, Tensor]:
        return self._step.losses(batch, self._trained.texts_CD, generator)
