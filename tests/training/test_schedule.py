import numpy as np
import pytest
import torch

from ovdet_cli.training.schedule import (
    OptimizerConfig,
    ScheduleConfig,
    build_optimizer,
    clip_gradients,
    learning_rate,
    set_learning_rate,
)
from tests.parity.reference import PACKAGED

DETR = OptimizerConfig(multipliers=(("backbone", 0.1),), clip="norm", clip_limit=0.01)


@pytest.fixture(scope="module")
def official():
    with np.load(PACKAGED / "detic" / "train_ops.npz") as file:
        return {name: file[name] for name in file.files if name.startswith("sched/")}


@pytest.mark.parametrize("name", ["boxsup_r50_64", "detic_r50_64", "detic_21k_32", "boxsup_r18_32", "ovcoco"])
def test_rates_equal_the_official_ones(official, name):
    peak, iterations, warmup, factor, _, _ = official[f"sched/{name}/settings"].tolist()
    config = ScheduleConfig(int(iterations), warmup_iterations=int(warmup), warmup_factor=factor)
    if name == "ovcoco":
        config = ScheduleConfig(int(iterations), "steps", int(warmup), factor, drops=(60_000, 80_000))
    rates = [learning_rate(iteration, peak, config) for iteration in official[f"sched/{name}/iters"].tolist()]
    np.testing.assert_allclose(rates, official[f"sched/{name}/lr"], rtol=1e-9)


def test_no_warmup_starts_at_the_peak():
    config = ScheduleConfig(10, warmup_iterations=0)
    assert learning_rate(0, 3.0, config) == 3.0
    assert learning_rate(10, 3.0, config) == pytest.approx(0)
    assert learning_rate(99, 3.0, config) == pytest.approx(0)


@pytest.mark.parametrize(("case", "config"), [("adamw", OptimizerConfig()), ("adamw_detr", DETR)])
def test_three_steps_equal_the_official_ones(official, case, config):
    names = official[f"sched/{case}/names"].tolist()
    tensors = {n: torch.nn.Parameter(torch.from_numpy(official[f"sched/{case}/step0/{n}"].copy())) for n in names}
    optimizer = build_optimizer(tensors.items(), config)
    settings = {id(p): (g["lr"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}
    for name, rate, decay in zip(
        names, official[f"sched/{case}/lr"], official[f"sched/{case}/weight_decay"], strict=True
    ):
        assert settings[id(tensors[name])] == pytest.approx((float(rate), float(decay)))
    for step in (1, 2, 3):
        for name, tensor in tensors.items():
            tensor.grad = torch.from_numpy(official[f"sched/{case}/grad{step}/{name}"].copy())
        clip_gradients(optimizer, config)
        optimizer.step()
        for name, tensor in tensors.items():
            expected = official[f"sched/{case}/step{step}/{name}"]
            np.testing.assert_allclose(tensor.detach().numpy(), expected, atol=1e-6, rtol=0)


def test_the_schedule_keeps_multipliers_and_frozen_tensors_stay_out():
    trained, frozen = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2), requires_grad=False)
    config = OptimizerConfig("sgd", 0.02, multipliers=(("backbone", 0.5), ("stem", 0.1)))
    optimizer = build_optimizer([("backbone.stem.w", trained), ("head", frozen)], config)
    assert [len(group["params"]) for group in optimizer.param_groups] == [1]
    set_learning_rate(optimizer, 4.0)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.2)
    with pytest.raises(ValueError, match="no parameter"):
        build_optimizer([("head", frozen)], config)


@pytest.mark.parametrize(("clip", "expected"), [("value", [1, -1]), ("norm", [0.6, -0.8]), ("none", [3, -4])])
def test_clipping_reports_the_norm_before_it(clip, expected):
    tensor = torch.nn.Parameter(torch.zeros(2))
    config = OptimizerConfig(clip=clip)
    optimizer = build_optimizer([("w", tensor)], config)
    tensor.grad = torch.tensor([3.0, -4.0])
    assert clip_gradients(optimizer, config) == pytest.approx(5)
    assert tensor.grad.tolist() == pytest.approx(expected, rel=1e-5)


def test_the_optimizer_resumes_with_its_multipliers():
    tensor = torch.nn.Parameter(torch.zeros(2))
    first = build_optimizer([("backbone", tensor)], DETR)
    second = build_optimizer([("backbone", tensor)], DETR)
    second.load_state_dict(first.state_dict())
    set_learning_rate(second, 1.0)
    assert second.param_groups[0]["lr"] == pytest.approx(0.1)
