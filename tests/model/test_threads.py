import pytest
import torch

from agenttrain.model import threads
from agenttrain.model.threads import settle_threads


@pytest.fixture(autouse=True)
def _two_threads(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


class Model:
    """Twice a million weights."""

    device = torch.device("cpu")

    def parameters(self):
        return [torch.empty(1000, 1000)] * 2


def test_a_small_model_has_one_thread_and_that_is_said(capsys):
    settle_threads(Model(), None)
    assert torch.get_num_threads() == 1
    assert capsys.readouterr().out == "1 CPU thread: the best for a small model of 2.0 M weights (threads=...)\n"


def test_a_large_model_has_as_many_as_torch_takes(monkeypatch, capsys):
    monkeypatch.setattr(threads, "SMALL", 1_000_000)
    settle_threads(Model(), None)
    assert torch.get_num_threads() == 2
    assert "2 CPU threads: torch's choice" in capsys.readouterr().out


def test_the_user_has_the_last_word(monkeypatch, capsys):
    settle_threads(Model(), 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    settle_threads(Model(), None)
    assert torch.get_num_threads() == 2
    assert capsys.readouterr().out == ""
