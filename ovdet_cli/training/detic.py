"""One training step of Detic (arXiv:2201.02605): a batch in, its losses out.

Follows facebookresearch/Detic 436cda2a (Apache-2.0) and CenterNet2 8745e012. Loss names are the official ones. Knowing
differences: none in what the published recipe does; `softmax_weight` adds a term that the paper has not (see there).
"""

# B pictures, R regions of all pictures, L levels, C classes, D embedding width, H hidden width

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovdet_cli.models.detic.cascade import CascadeStage
from ovdet_cli.models.detic.centernet import Proposals, decode_proposals
from ovdet_cli.models.detic.config import CenterNetConfig
from ovdet_cli.models.detic.model import Detic
from ovdet_cli.models.ops.boxes import clip_boxes, decode_deltas
from ovdet_cli.training.batches import Batch
from ovdet_cli.training.centernet_targets import CenterNetRules, centernet_targets
from ovdet_cli.training.image_losses import KINDS, add_image_box, image_label_loss, top_proposals
from ovdet_cli.training.losses import box_loss, centernet_losses, class_loss, mask_loss
from ovdet_cli.training.region_targets import dynamic_classes, federated_classes, match, sample_rows


@dataclass(frozen=True)
class DeticRecipe:
    """What Detic's training chooses, with the values of the CenterNet2 configurations."""

    centernet: CenterNetRules = field(default_factory=CenterNetRules)
    proposals: CenterNetConfig = field(
        default_factory=lambda: CenterNetConfig(pre_nms_top=4000, nms_iou=0.9, post_nms_top=2000)
    )
    """Proposals in training; the convolutions are the model's own."""
    match_ious: tuple[float, ...] = (0.6, 0.7, 0.8)
    """A region whose overlap with an object is at least this is of its class, by stage."""
    regions: int = 512
    """Regions sampled a picture."""
    positive_share: float = 0.25
    """At most this share of them shows an object."""
    mask_regions: int = 0
    """Of the regions that show an object, at most so many a picture are drawn masks for; 0: all, as published."""
    federated: int = 50
    """Classes (the background counted) that a stage's class loss looks at; 0: all."""
    dynamic: int = 0
    """Columns that an iteration's classifier has, for vocabularies of many thousands; 0: all."""
    image_loss: str = "max_size"
    """Which proposal of an image-labelled picture bears the label (see `image_losses.KINDS`)."""
    image_weight: float = 0.1
    image_proposals: int = 128
    """Proposals of an image-labelled picture that are looked at."""
    image_box: float = 0.0
    """Side of the image box (the whole picture is 1) that is added as last proposal; 0: none."""
    softmax_weight: float = 0.0
    """Weight of a cross entropy over all classes on the regions that show an object, beside the sigmoid loss: it tells
    hundreds of look-alike classes apart in a fraction of the steps. Image labels that one proposal learns have it too,
    within what image_weight multiplies. 0 in the published recipe."""

    def __post_init__(self) -> None:
        if self.image_loss not in KINDS:
            raise ValueError(f"image_loss is one of {', '.join(KINDS)}, not {self.image_loss!r}")
        if self.image_loss == "wsddn" and self.dynamic:
            raise ValueError("wsddn has a column for every class; set dynamic to 0")
        if self.image_loss == "image" and not self.image_box:
            raise ValueError('image_loss "image" needs an image_box, such as 1.0')
        if self.regions < 1 or self.image_proposals < 1 or not 0 < self.positive_share <= 1:
            raise ValueError("regions and image_proposals must be at least 1, positive_share above 0 and at most 1")
        if not 0 <= self.image_box <= 1 or min(self.federated, self.dynamic, self.mask_regions) < 0:
            raise ValueError(
                "image_box must lie between 0 and 1; federated, dynamic and mask_regions must not be below 0"
            )


class _ScaleGradient(torch.autograd.Function):
    """The same numbers forwards, the gradient times a factor backwards."""

    @staticmethod
    def forward(ctx, x: Tensor, factor: float) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[no-untyped-def]
        return gradient * ctx.factor, None


class ProposalScores(nn.Module):
    """WSDDN's second head (arXiv:1511.02853): hidden features (R, H) -> a proposal's share of each class (R, C + 1)."""

    def __init__(self, hidden: int, num_classes: int, num_stages: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, num_classes + 1))
            for _ in range(num_stages)
        )

    def forward(self, stage: int, hidden_RH: Tensor) -> Tensor:
        return self.stages[stage](hidden_RH)


@dataclass(frozen=True)
class _Columns:
    """The classifier of one iteration: unit columns (C, D), and which label has which column (C: background)."""

    texts_CD: Tensor
    column_of: Tensor | None

    def labels(self, class_ids: Tensor) -> Tensor:
        return class_ids if self.column_of is None else self.column_of[class_ids]

    def __len__(self) -> int:
        return len(self.texts_CD)


class DeticStep:
    """Losses of a batch, of boxes or of image labels, for a Detic model and the text columns of its classes.

    model: trained in place by whoever calls. class_weights_C: how often a class is drawn into the federated set.
    half: context of half precision for backbone and pyramid, as published; half_heads: for the heads' layers too.
    """

    def __init__(
        self,
        model: Detic,
        recipe: DeticRecipe,
        class_weights_C: Tensor | None = None,
        proposal_scores: ProposalScores | None = None,
        half: Callable[[], AbstractContextManager[object]] = nullcontext,
        half_heads: bool = False,
    ) -> None:
        if len(recipe.match_ious) != model.config.num_stages:
            raise ValueError(f"{len(recipe.match_ious)} overlaps for a cascade of {model.config.num_stages} stages")
        self.model = model
        self.recipe = recipe
        self.class_weights_C = class_weights_C
        self.proposal_scores = proposal_scores
        self.half = half
        self.half_heads = half if half_heads else nullcontext

    def losses(self, batch: Batch, texts_CD: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Losses by their official names; their sum is what is minimised. texts_CD: unit columns of all classes."""
        with self.half():
            pyramid = [level.float() for level in self.model.extract(batch.pixels)]
        if batch.names_only:
            return self._naming_losses(pyramid, batch, self._choose(batch, texts_CD, generator), generator)
        if batch.labels is None:
            return self._box_losses(pyramid, batch, self._choose(batch, texts_CD, generator), generator)
        return self._image_losses(pyramid, batch, self._choose(batch, texts_CD, generator))

    def _choose(self, batch: Batch, texts_CD: Tensor, generator: torch.Generator | None) -> _Columns:
        """All columns, or those that a dynamic classifier draws for this batch."""
        if not self.recipe.dynamic:
            return _Columns(texts_CD, None)
        present = torch.cat(batch.class_ids if batch.labels is None else batch.labels)
        weights = self.class_weights_C if batch.labels is None else None
        chosen, column_of = dynamic_classes(present, len(texts_CD), self.recipe.dynamic, weights, generator)
        return _Columns(texts_CD[chosen], column_of)

    def _propose(self, pyramid: list[Tensor]) -> tuple[list[Tensor], list[Tensor], list[Proposals]]:
        with self.half_heads():
            heats, distances = self.model.proposal_head(pyramid)
        heats, distances = [h.float() for h in heats], [d.float() for d in distances]
        with torch.no_grad():
            proposals = decode_proposals(heats, distances, self.recipe.proposals)
        return heats, distances, proposals

    def _logits(self, stage: int, hidden_RH: Tensor, columns: _Columns) -> Tensor:
        """Class logits (R, C + 1); the background's column is zero, as in the official classifier."""
        factor, offset = self.model.class_scales()[stage]
        logits_RC = factor * self._stage(stage).embed(hidden_RH) @ columns.texts_CD.T + offset
        return F.pad(logits_RC, (0, 1))

    def _stage(self, number: int) -> CascadeStage:
        return cast(CascadeStage, self.model.stages[number])

    def _describe(self, stage: int, pyramid: list[Tensor], boxes: list[Tensor]) -> tuple[Tensor, Tensor]:
        """A stage's hidden features (R, H) and box deltas (R, 4)."""
        pooled = self.model.pool(pyramid, boxes, self.model.config.box_pool)
        pooled = _ScaleGradient.apply(pooled, 1.0 / self.model.config.num_stages)
        with self.half_heads():
            hidden_RH = self._stage(stage).describe(pooled)
            deltas_R4 = self._stage(stage).deltas(hidden_RH)
        return hidden_RH.float(), deltas_R4.float()

    def _move(
        self, stage: int, deltas: Tensor, boxes: list[Tensor], sizes_hw: Sequence[tuple[int, int]]
    ) -> list[Tensor]:
        """Where a stage moves its boxes to, clipped; empty ones are dropped, as the official code does in training."""
        weights = self.model.config.delta_weights[stage]
        with torch.no_grad():
            moved = decode_deltas(deltas.detach().float(), torch.cat(boxes), weights).split([len(b) for b in boxes])
            clipped = [clip_boxes(b, size) for b, size in zip(moved, sizes_hw, strict=True)]
            return [b[((b[:, 2:] - b[:, :2]) > 0).all(dim=1)] for b in clipped]

    # Box-labelled pictures

    def _box_losses(
        self, pyramid: list[Tensor], batch: Batch, columns: _Columns, generator: torch.Generator | None
    ) -> dict[str, Tensor]:
        heats, distances, proposals = self._propose(pyramid)
        shapes = [(h.shape[2], h.shape[3]) for h in heats]
        targets = centernet_targets(batch.boxes, shapes, self.recipe.centernet)
        losses = centernet_losses(heats, distances, targets)
        boxes = self._sample([p.boxes_P4 for p in proposals], batch, generator)
        for stage in range(self.model.config.num_stages):
            matches = self._label(stage, boxes, batch, columns)
            hidden_RH, deltas_R4 = self._describe(stage, pyramid, boxes)
            logits = self._logits(stage, hidden_RH, columns)
            losses[f"loss_cls_stage{stage}"] = self._class_loss(logits, matches.labels, columns, generator)
            losses[f"loss_box_reg_stage{stage}"] = box_loss(
                deltas_R4,
                torch.cat(boxes),
                matches.gt_boxes,
                matches.foreground,
                self.model.config.delta_weights[stage],
            )
            if stage == 0:
                losses |= self._mask_loss(pyramid, boxes, matches, batch)
            if stage + 1 < self.model.config.num_stages:
                boxes = self._move(stage, deltas_R4, boxes, batch.sizes_hw)
        zero = losses["loss_cls_stage0"].detach() * 0
        losses |= {f"image_loss_stage{stage}": zero for stage in range(self.model.config.num_stages)}
        return losses

    def _naming_losses(
        self, pyramid: list[Tensor], batch: Batch, columns: _Columns, generator: torch.Generator | None
    ) -> dict[str, Tensor]:
        """Class losses of the true boxes, shaken a little as proposals would be: no part of the published recipe.

        Pictures full of drawings teach many times more names a second this way than through all losses.
        """
        labels = torch.cat([columns.labels(ids) for ids in batch.class_ids])
        losses = {}
        for stage in range(self.model.config.num_stages):
            boxes = [self._shake(b, size, generator) for b, size in zip(batch.boxes, batch.sizes_hw, strict=True)]
            hidden_RH, _ = self._describe(stage, pyramid, boxes)
            logits = self._logits(stage, hidden_RH, columns)
            losses[f"loss_cls_stage{stage}"] = self._class_loss(logits, labels, columns, generator)
        return losses

    def _shake(self, boxes_N4: Tensor, size_hw: tuple[int, int], generator: torch.Generator | None) -> Tensor:
        """Boxes whose corners are off by some 6 % of their sides, clipped."""
        sides_N4 = (boxes_N4[:, 2:] - boxes_N4[:, :2]).repeat(1, 2)
        noise_N4 = torch.randn(boxes_N4.shape, generator=generator).to(boxes_N4)
        return clip_boxes(boxes_N4 + 0.06 * sides_N4 * noise_N4.clamp(-3, 3), size_hw)

    def _sample(self, boxes: list[Tensor], batch: Batch, generator: torch.Generator | None) -> list[Tensor]:
        """Proposals with the true boxes appended, a sample of them for each picture: objects first."""
        sampled = []
        for proposed, truth in zip(boxes, batch.boxes, strict=True):
            candidates = torch.cat((proposed, truth))
            _, foreground = match(candidates, truth, self.recipe.match_ious[0])
            rows = sample_rows(foreground, self.recipe.regions, self.recipe.positive_share, generator)
            sampled.append(candidates[rows])
        return sampled

    def _label(self, stage: int, boxes: list[Tensor], batch: Batch, columns: _Columns) -> "_Matches":
        labels, gt_boxes, rows, foregrounds = [], [], [], []
        for regions, truth, class_ids in zip(boxes, batch.boxes, batch.class_ids, strict=True):
            index, foreground = match(regions, truth, self.recipe.match_ious[stage])
            background = torch.full_like(index, len(columns))
            has_truth = len(truth) > 0
            labels.append(
                torch.where(foreground, columns.labels(class_ids)[index], background) if has_truth else background
            )
            gt_boxes.append(truth[index] if has_truth else regions)
            rows.append(index)
            foregrounds.append(foreground)
        return _Matches(torch.cat(labels), torch.cat(gt_boxes), rows, torch.cat(foregrounds))

    def _class_loss(
        self, logits: Tensor, labels: Tensor, columns: _Columns, generator: torch.Generator | None
    ) -> Tensor:
        classes = None
        if self.recipe.federated and not self.recipe.dynamic:
            classes = federated_classes(
                labels.unique(), len(columns), self.recipe.federated, self.class_weights_C, generator
            )
        loss = class_loss(logits, labels, classes)
        if self.recipe.softmax_weight:
            rows = torch.nonzero(labels < len(columns)).squeeze(1)
            term = F.cross_entropy(logits[rows, :-1], labels[rows], reduction="sum") / max(len(rows), 1)
            loss = loss + self.recipe.softmax_weight * term
        return loss

    def _mask_loss(
        self, pyramid: list[Tensor], boxes: list[Tensor], matches: "_Matches", batch: Batch
    ) -> dict[str, Tensor]:
        most = self.recipe.mask_regions or None
        foregrounds = matches.foreground.split([len(b) for b in boxes])
        rows = [torch.nonzero(f).squeeze(1)[:most] for f in foregrounds]
        shown = [b[r] for b, r in zip(boxes, rows, strict=True)]
        pooled = self.model.pool(pyramid, shown, self.model.config.mask_pool)
        with self.half_heads():
            logits = self.model.mask_head.logits(pooled)
        if not batch.has_masks:
            return {"loss_mask": logits.sum() * 0}
        targets = [
            batch.mask_targets(i, index[r], picture, logits.shape[-1])
            for i, (index, r, picture) in enumerate(zip(matches.rows, rows, shown, strict=True))
        ]
        return {"loss_mask": mask_loss(logits, torch.cat(targets))}

    # Image-labelled pictures

    def _image_losses(self, pyramid: list[Tensor], batch: Batch, columns: _Columns) -> dict[str, Tensor]:
        heats, distances, proposals = self._propose(pyramid)
        assert batch.labels is not None
        boxes = [self._candidates(p, size) for p, size in zip(proposals, batch.sizes_hw, strict=True)]
        labels = [columns.labels(picture) for picture in batch.labels]
        losses = {}
        for stage in range(self.model.config.num_stages):
            hidden_RH, deltas_R4 = self._describe(stage, pyramid, boxes)
            logits = self._logits(stage, hidden_RH, columns)
            seconds = None if self.proposal_scores is None else self.proposal_scores(stage, hidden_RH).float()
            losses[f"image_loss_stage{stage}"] = self._label_loss(logits, boxes, labels, seconds)
            if stage + 1 < self.model.config.num_stages:
                boxes = self._move(stage, deltas_R4, boxes, batch.sizes_hw)
        # The other losses take part with nothing, so that every parameter has a gradient in every iteration.
        heads = torch.stack([x.sum() for x in (*heats, *distances)]).sum() * 0
        zero = heads.detach()
        losses |= {"loss_centernet_agn_pos": heads, "loss_centernet_agn_neg": zero, "loss_centernet_loc": zero}
        for stage in range(self.model.config.num_stages):
            losses |= {f"loss_cls_stage{stage}": zero, f"loss_box_reg_stage{stage}": zero}
        losses["loss_mask"] = zero
        return losses

    def _label_loss(
        self, logits: Tensor, boxes: list[Tensor], labels: list[Tensor], prop_scores: Tensor | None
    ) -> Tensor:
        recipe = self.recipe
        loss, _ = image_label_loss(
            recipe.image_loss, logits, boxes, labels, prop_scores=prop_scores, weight=recipe.image_weight
        )
        if recipe.softmax_weight and recipe.image_loss != "wsddn":
            weight = recipe.softmax_weight * recipe.image_weight
            loss = loss + image_label_loss(recipe.image_loss, logits, boxes, labels, weight=weight, softmax=True)[0]
        return loss

    def _candidates(self, proposals: Proposals, size_hw: tuple[int, int]) -> Tensor:
        """The proposals of an image-labelled picture that may bear its label."""
        count = self.recipe.image_proposals
        boxes, scores = top_proposals(proposals.boxes_P4, proposals.scores_P, size_hw, count)
        if self.recipe.image_box:
            boxes, _ = add_image_box(boxes, scores, size_hw, self.recipe.image_box)
        return boxes


@dataclass(frozen=True)
class _Matches:
    """What the regions of all pictures were matched with.

    labels (R,): class or background; gt_boxes (R, 4); rows: for each picture the object of each region;
    foreground: bool (R,).
    """

    labels: Tensor
    gt_boxes: Tensor
    rows: list[Tensor]
    foreground: Tensor
