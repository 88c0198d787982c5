import math

import pytest
import torch

from agenttrain.trainer.drift import AGREE, drift, verdict, weights

TRAINER = torch.tensor([[-1.0, -2.0, -3.0, -9.0]])
SAMPLER = torch.tensor([[-1.0 - AGREE / 2, -2.5, -1.0, 0.0]])


def test_drift_is_over_sampled_tokens_alone():
    mean, largest = drift(TRAINER, SAMPLER, torch.tensor([[0, 1, 1, 0]]))
    assert mean == pytest.approx(1.25)
    assert largest == pytest.approx(2.0)
    assert drift(TRAINER, SAMPLER, torch.zeros(1, 4)) == (0.0, 0.0)


def test_a_token_weighs_the_ratio_up_to_the_cap_and_exactly_1_where_both_agree():
    assert weights(TRAINER, SAMPLER, cap=1.5).tolist()[0] == pytest.approx([1.0, 1.5, math.exp(-2), math.exp(-9)])
    assert weights(TRAINER, SAMPLER, cap=1.5)[0, 0].item() == 1.0
    assert weights(TRAINER, SAMPLER, cap=None).tolist() == [[1.0] * 4]


def test_the_verdict_names_the_drift():
    assert verdict(3e-6, 2.0)[0] == "sampled"
    assert "3e-06 nats" in verdict(3e-6, 2.0)[1]
    assert verdict(0.08, 2.0)[0] == "recomputed"
    assert "0.08 nats (more than 0.001)" in verdict(0.08, 2.0)[1]
    assert "weighted, by 2 at most" in verdict(0.08, 2.0)[1]
    assert "not weighted" in verdict(0.08, None)[1]
