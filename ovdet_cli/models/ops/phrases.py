"""Several phrasings of one class: the best of them stands for it."""

# R regions, P phrases, C classes

from torch import Tensor


def best_phrases(logits_RP: Tensor, class_of_P: Tensor | None) -> Tensor:
    """The highest logit among each class's phrases, (R, C).

    class_of_P: int64 (P,), class of each phrase, in order: 0 0 1 2 2 2. None: every phrase is a class.

    Taken before any softmax, so that synonyms do not share one probability between them.
    """
    if class_of_P is None:
        return logits_RP
    best_RC = logits_RP.new_full((len(logits_RP), int(class_of_P[-1]) + 1), float("-inf"))
    return best_RC.scatter_reduce_(1, class_of_P.expand(len(logits_RP), -1), logits_RP, "amax")
