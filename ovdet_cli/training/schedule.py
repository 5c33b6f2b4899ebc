"""How the weights move: optimiser, gradient clipping and learning rate of Detic's published recipes.

Official code: facebookresearch/Detic 436cda2a, `detic/custom_solver.py`, with detectron2's and fvcore's schedules
(Apache-2.0). One knowing difference: tensors with the same learning rate share a parameter group.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch


@dataclass(frozen=True)
class OptimizerConfig:
    """An optimiser and how gradients are clipped before its step; the defaults are Detic's."""

    kind: Literal["adamw", "sgd"] = "adamw"
    """SGD is the recipe of OV-COCO."""
    learning_rate: float = 2e-4
    """At its highest; 2e-4 for batches of 64, 1e-4 for 32."""
    weight_decay: float = 1e-4
    """On every tensor: norms, offsets and biases are no exception."""
    betas: tuple[float, float] = (0.9, 0.999)
    """AdamW's."""
    momentum: float = 0.9
    """SGD's."""
    multipliers: tuple[tuple[str, float], ...] = ()
    """(part of a parameter's name, factor on its learning rate); factors of all parts that fit are multiplied."""
    clip: Literal["value", "norm", "none"] = "value"
    """Each element on its own, the norm of everything together, or neither."""
    clip_limit: float = 1.0
    """Largest magnitude of an element, or of the norm."""


@dataclass(frozen=True)
class ScheduleConfig:
    """The learning rate over a training."""

    iterations: int
    """Length of the whole training."""
    kind: Literal["cosine", "steps"] = "cosine"
    """Half a cosine down to 0 over all iterations, or constant with drops."""
    warmup_iterations: int = 1000
    """10000 for box-supervised Detic models, 1000 for all others."""
    warmup_factor: float = 1e-3
    """Share of the peak that iteration 0 uses; 1e-4 for box-supervised Detic models."""
    drops: tuple[int, ...] = ()
    """Iterations from which on the rate is multiplied once more by `drop_factor`; for "steps"."""
    drop_factor: float = 0.1
    """Factor of a drop."""

    def __post_init__(self) -> None:
        if self.iterations < 1 or not self.warmup_iterations >= 0:
            raise ValueError(f"{self.iterations} iterations with {self.warmup_iterations} of warm-up")


def learning_rate(iteration: int, peak: float, config: ScheduleConfig) -> float:
    """The rate that iteration `iteration` (from 0) uses.

    Warm-up is a straight line from `warmup_factor` times the first rate to the rate at its end, not a factor on the
    curve.
    """
    if iteration >= config.warmup_iterations:
        return peak * _curve(iteration, config)
    share = iteration / config.warmup_iterations
    end = _curve(config.warmup_iterations, config)
    return peak * ((1 - share) * config.warmup_factor * _curve(0, config) + share * end)


def build_optimizer(
    parameters: Iterable[tuple[str, torch.nn.Parameter]], config: OptimizerConfig
) -> torch.optim.Optimizer:
    """The optimiser of the named parameters that have `requires_grad`; each group remembers its `multiplier`."""
    groups: dict[float, list[torch.nn.Parameter]] = {}
    for name, parameter in parameters:
        if parameter.requires_grad:
            factor = math.prod(factor for part, factor in config.multipliers if part in name)
            groups.setdefault(factor, []).append(parameter)
    if not groups:
        raise ValueError("no parameter is to be trained")
    options = [
        {"params": tensors, "multiplier": factor, "lr": config.learning_rate * factor}
        for factor, tensors in groups.items()
    ]
    if config.kind == "sgd":
        return torch.optim.SGD(options, momentum=config.momentum, weight_decay=config.weight_decay)
    return torch.optim.AdamW(options, betas=config.betas, eps=1e-8, weight_decay=config.weight_decay)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Gives every group of `build_optimizer` the rate times its multiplier."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["multiplier"]


def clip_gradients(optimizer: torch.optim.Optimizer, config: OptimizerConfig) -> float:
    """Clips the gradients in place, to be called after unscaling and before the step.

    Returns the norm of all gradients together before it; inf or nan where a gradient is.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    norm = torch.nn.utils.get_total_norm([p.grad for p in parameters])
    if config.clip == "norm":
        torch.nn.utils.clip_grads_with_norm_(parameters, config.clip_limit, norm)
    elif config.clip == "value":
        torch.nn.utils.clip_grad_value_(parameters, config.clip_limit)
    return float(norm)


def _curve(iteration: int, config: ScheduleConfig) -> float:
    """The rate without warm-up, as a share of the peak."""
    if config.kind == "cosine":
        return (1 + math.cos(math.pi * min(iteration / config.iterations, 1.0))) / 2
    return config.drop_factor ** sum(iteration >= drop for drop in config.drops)
