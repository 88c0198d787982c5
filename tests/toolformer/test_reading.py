"""What a model says of many sequences at once is what it says of each alone."""

import pytest
import torch

from agenttrain.toolformer.reading import chances, weighted_losses, weights, write


def logprobs(model, ids):
    """(len(ids), vocabulary), from one sequence without padding."""
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].double().log_softmax(-1)


def test_the_weights_fall_by_a_fifth_and_sum_to_one():
    assert weights() == pytest.approx([1 / 3, 0.8 / 3, 0.6 / 3, 0.4 / 3, 0.2 / 3])
    assert sum(weights()) == pytest.approx(1)


def test_a_loss_is_the_weighted_sum_over_five_following_tokens(loaded):
    context, following = [5, 9, 300, 7], [11, 12, 13, 14, 15, 16, 17]
    says = logprobs(loaded.model, context + following)
    by_hand = -sum(max(0, 1 - 0.2 * t) / 3 * float(says[3 + t, following[t]]) for t in range(7))
    assert weighted_losses(loaded.model, [(context, following)]) == pytest.approx([by_hand], abs=1e-5)


def test_near_the_end_of_a_text_the_weights_that_are_left_stay_as_they_are(loaded):
    says = logprobs(loaded.model, [5, 9, 11, 12])
    by_hand = -(float(says[1, 11]) + 0.8 * float(says[2, 12])) / 3
    assert weighted_losses(loaded.model, [([5, 9], [11, 12])]) == pytest.approx([by_hand], abs=1e-5)
    assert weighted_losses(loaded.model, [([5, 9], [])]) == [0.0]


def test_a_batch_of_many_lengths_equals_each_alone(loaded):
    rows = [(list(range(3, 4 + n)), list(range(40, 40 + n % 7))) for n in range(30)]
    alone = [weighted_losses(loaded.model, [row])[0] for row in rows]
    assert weighted_losses(loaded.model, rows) == pytest.approx(alone, abs=1e-5)
    assert weighted_losses(loaded.model, []) == []


def test_the_chance_of_an_opening_stands_before_every_token_but_the_first(loaded):
    rows = [([], [5, 9, 300, 7]), ([3, 4], [5, 9, 300]), ([3], [5])]
    found = chances(loaded.model, rows, token=8)
    for (context, text), chance in zip(rows, found, strict=True):
        says = logprobs(loaded.model, context + text)[len(context) :]
        assert chance == pytest.approx([float(says[place, 8].exp()) for place in range(len(text) - 1)], rel=1e-4)


def test_contexts_of_many_lengths_are_continued_as_each_alone(loaded):
    contexts = [[5], [5, 9, 300, 7], list(range(20, 40))]
    written = write(loaded.model, contexts, lambda logits: logits.argmax(-1), lambda ids: False, most=6)
    for context, ids in zip(contexts, written, strict=True):
        for place, token in enumerate(ids):
            assert token == int(logprobs(loaded.model, context + ids[:place])[-1].argmax())
    assert write(loaded.model, [], lambda logits: logits.argmax(-1), lambda ids: False, most=6) == []


def test_a_row_that_is_over_writes_no_more(loaded):
    written = write(loaded.model, [[5], [5]], lambda logits: torch.tensor([7, 8]), lambda ids: ids == [7], most=3)
    assert written == [[7], [8, 8, 8]]
