import math

import pytest

from ovdet_cli.errors import UsageError
from ovdet_cli.tracking.settings import TrackSettings


@pytest.mark.parametrize(
    "wrong",
    [
        {"lost_s": -1},
        {"lost_s": math.nan},
        {"low": 0.6, "high": 0.5},
        {"high": 1.5},
        {"min_overlap": -0.1},
        {"same_box": 2},
        {"class_penalty": math.inf},
        {"confirm_hits": 0},
        {"smooth_s": -1},
        {"sure_votes": -1},
        {"vote_lead": 0.5},
    ],
)
def test_values_that_make_no_sense_are_refused(wrong):
    with pytest.raises(UsageError):
        TrackSettings(**wrong)


def test_edges_are_allowed():
    TrackSettings(lost_s=0, low=0.5, high=0.5, smooth_s=0, vote_lead=1, class_penalty=0, same_box=1, confirm_hits=1)
