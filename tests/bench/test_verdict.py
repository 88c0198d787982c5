"""Verdicts on estimates that are made up, so that the truth is known."""

import numpy as np
import pytest

from agenttrain.bench.verdict import judge

EXACT = np.array([0.6, 0.8, 0.0])
ACROSS = np.array([0.8, -0.6, 0.0])


def noisy(mean, seed=0, count=400, deviation=0.5):
    return mean + deviation * np.random.default_rng(seed).standard_normal((count, len(mean)))


@pytest.mark.parametrize(
    ("mean", "verdict"),
    [
        (EXACT, "unbiased"),
        (3 * EXACT, "unbiased up to scale"),
        (EXACT + 0.3 * ACROSS, "biased: direction"),
        (-EXACT, "biased: opposite"),
        (0 * EXACT, "biased: no gradient"),
        (ACROSS, "biased: no gradient"),
    ],
)
def test_each_verdict_is_found(mean, verdict):
    assert judge(noisy(mean), EXACT, 8).verdict == verdict


def test_what_cannot_be_seen_stays_open():
    assert judge(noisy(EXACT, deviation=10), EXACT, 8).verdict == "open"
    assert judge(noisy(EXACT, count=100, deviation=1), EXACT, 8, verdicts=1000).verdict == "open"


def test_an_estimate_of_zero_has_no_angle_and_no_noise():
    finding = judge(np.zeros((50, 3)), EXACT, 8)
    assert (finding.verdict, finding.angle, finding.noise) == ("biased: no gradient", None, None)
    assert judge(np.full((50, 3), 1e-17), EXACT, 8).verdict == "biased: no gradient"


def test_noise_counts_episodes_and_knows_no_scale():
    # Per batch of 8: variance 3 x 0.25 against a squared length of 1.
    finding = judge(noisy(EXACT, count=20_000), EXACT, 8)
    assert finding.noise == pytest.approx(6.0, rel=0.05)
    assert judge(7 * noisy(EXACT), EXACT, 8).noise == pytest.approx(judge(noisy(EXACT), EXACT, 8).noise)


@pytest.mark.parametrize("degrees", [0, 10, 40])
def test_intervals_cover_and_an_unbiased_direction_is_rejected_at_the_rate_that_is_claimed(degrees):
    mean = np.cos(np.radians(degrees)) * EXACT + np.sin(np.radians(degrees)) * ACROSS
    findings = [judge(noisy(mean, seed), EXACT, 8) for seed in range(300)]
    covered = [f.angle.low - 1e-9 <= degrees <= f.angle.high + 1e-9 for f in findings]
    assert np.mean(covered) > 0.92
    scale = np.cos(np.radians(degrees))
    assert 0.9 < np.mean([f.scale.low <= scale <= f.scale.high for f in findings]) < 0.99
    rejected = np.mean([f.p < 0.05 for f in findings])
    assert 0.01 < rejected < 0.1 if degrees == 0 else rejected > 0.9


def test_one_parameter_has_no_direction_but_a_sign():
    finding = judge(noisy(np.array([2.0])), np.array([1.0]), 8)
    assert (finding.verdict, finding.p, finding.angle.value) == ("right sign", 1.0, 0.0)
    assert judge(noisy(np.array([-2.0])), np.array([1.0]), 8).verdict == "biased: opposite"
