"""Calibration: a slope and an offset that turn a detector's scores into shares of right ones.

Platt scaling ("Probabilistic outputs for support vector machines", 1999) on the score's own logit: two numbers, so it
never changes the order of detections.
"""

import numpy as np

_EPS = 1e-6


def logit(scores: np.ndarray) -> np.ndarray:
    """log(s / (1 - s)), float64, with scores kept off 0 and 1."""
    kept = np.clip(np.asarray(scores, np.float64), _EPS, 1 - _EPS)
    return np.log(kept / (1 - kept))


def fit_calibration(scores: np.ndarray, is_correct: np.ndarray) -> tuple[float, float]:
    """(slope, offset) for which sigmoid(slope x logit(score) + offset) is most likely given which ones were right.

    Newton's method on the logarithmic loss, with Platt's softened targets, so that scores that separate right from
    wrong completely give finite numbers. ValueError unless there are both right and wrong ones.
    """
    right = int(np.sum(is_correct))
    wrong = len(is_correct) - right
    if not right or not wrong:
        raise ValueError(f"{right} right and {wrong} wrong detections: calibration needs both")
    targets = np.where(is_correct, (right + 1) / (right + 2), 1 / (wrong + 2))
    design = np.stack((logit(scores), np.ones(len(scores))), axis=1)
    weights = np.array([1.0, 0.0])
    loss = _loss(design @ weights, targets)
    for _ in range(100):
        shares = 1 / (1 + np.exp(-(design @ weights)))
        gradient = design.T @ (shares - targets)
        hessian = (design * (shares * (1 - shares))[:, None]).T @ design + 1e-9 * np.eye(2)
        step, scale = np.linalg.solve(hessian, gradient), 1.0
        while (new := _loss(design @ (weights - scale * step), targets)) > loss and scale > 1e-6:
            scale /= 2
        weights, improvement, loss = weights - scale * step, loss - new, new
        if improvement < 1e-9 * max(loss, 1):
            break
    return float(weights[0]), float(weights[1])


def _loss(logits: np.ndarray, targets: np.ndarray) -> float:
    return float(np.sum(np.logaddexp(0, logits) - targets * logits))
