import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from ovdet_cli.models.detic.cascade import CascadeStage, MaskHead, zero_shot_scores

# R regions, S stages, D embedding width, C classes


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def features(r=5, s=3, d=8):
    return F.normalize(torch.randn(r, s, d), dim=-1)


def naive(features_RSD, texts_SCD, temperature):
    scores = torch.zeros(len(features_RSD), texts_SCD.shape[1])
    for r in range(features_RSD.shape[0]):
        for c in range(texts_SCD.shape[1]):
            cosines = [torch.dot(features_RSD[r, s], texts_SCD[s, c]) for s in range(features_RSD.shape[1])]
            scores[r, c] = sum(torch.sigmoid(temperature * cosine) for cosine in cosines) / len(cosines)
    return scores


def test_words_of_any_length_are_cosines():
    x, texts = features(), torch.randn(4, 8) * torch.tensor([[1.0], [9.0], [0.01], [1.0]])
    wanted = naive(x, F.normalize(texts, dim=1).expand(3, -1, -1), 50.0)
    torch.testing.assert_close(zero_shot_scores(x, texts, [(50.0, 0.0)] * x.shape[1]), wanted)
    torch.testing.assert_close(zero_shot_scores(x, texts * 7, [(50.0, 0.0)] * x.shape[1]), wanted)


def test_a_sets_own_columns_are_used_as_they_are():
    x, texts = features(), torch.randn(3, 4, 8) * 0.3
    torch.testing.assert_close(zero_shot_scores(x, texts, [(20.0, 0.0)] * 3), naive(x, texts, 20.0))


def test_a_zero_row_scores_one_half():
    """Quirk 4: the background's logit is 0."""
    texts = torch.randn(3, 8)
    texts[1] = 0
    assert zero_shot_scores(features(), texts, [(50.0, 0.0)] * 3)[:, 1].tolist() == [0.5] * 5


def test_no_regions():
    assert zero_shot_scores(features(0), torch.randn(4, 8), [(50.0, 0.0)] * 3).shape == (0, 4)


def test_inputs_stay_as_they_were():
    x, texts = features(), torch.randn(4, 8)
    before = x.clone(), texts.clone()
    zero_shot_scores(x, texts, [(50.0, 0.0)] * x.shape[1])
    torch.testing.assert_close((x, texts), before, rtol=0, atol=0)


class Largest(TorchDispatchMode):
    """Notes the most numbers that any operation's result takes up in memory."""

    def __init__(self):
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.numbers = max(self.numbers, result.untyped_storage().nbytes() // result.element_size())
        return result


@pytest.mark.parametrize("num_sets", [1, 3, 6])
def test_memory_does_not_grow_with_the_sets(num_sets):
    x, texts = features(40, num_sets), torch.randn(500, 8)
    with Largest() as largest:
        zero_shot_scores(x, texts, [(50.0, 0.0)] * x.shape[1])
    assert largest.numbers == 40 * 500


def test_a_stage_gives_unit_embeddings_and_deltas():
    stage = CascadeStage(4 * 49, 32, 16)
    embeddings, deltas = stage(torch.randn(6, 4, 7, 7))
    assert embeddings.shape == (6, 16)
    assert deltas.shape == (6, 4)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(6))
    assert [tuple(t.shape) for t in stage(torch.zeros(0, 4, 7, 7))] == [(0, 16), (0, 4)]


def test_a_stage_that_projects_to_nothing_is_finite():
    stage = CascadeStage(49, 8, 4)
    torch.nn.init.zeros_(stage.project.weight)
    torch.nn.init.zeros_(stage.project.bias)
    assert stage(torch.randn(2, 1, 7, 7))[0].eq(0).all()


def test_masks_are_probabilities_of_twice_the_bins():
    head = MaskHead(8, 8, 2)
    found = head(torch.randn(3, 8, 14, 14))
    assert found.shape == (3, 28, 28)
    assert ((found > 0) & (found < 1)).all()
    assert head(torch.zeros(0, 8, 14, 14)).shape == (0, 28, 28)
