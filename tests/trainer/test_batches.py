import torch

from agenttrain.trainer.batches import by_length


def test_by_length_sorts_within_an_optimizer_step_and_cuts():
    def rows(*lengths):
        mask = torch.tensor([[1] * length + [0] * (9 - length) for length in lengths])
        return {"prompt_ids": mask, "prompt_mask": torch.ones(2, 1), "completion_mask": mask, "total": torch.tensor(7)}

    batches = by_length([rows(5, 1), rows(2, 6), rows(9, 3), rows(4, 8)], window=2)
    assert [batch["completion_mask"].sum(1).tolist() for batch in batches] == [[1, 2], [5, 6], [3, 4], [8, 9]]
    assert [batch["completion_mask"].shape[1] for batch in batches] == [2, 6, 4, 9]
    assert [batch["prompt_ids"].shape[1] for batch in batches] == [1] * 4
    assert all(batch["total"] == 7 for batch in batches)
