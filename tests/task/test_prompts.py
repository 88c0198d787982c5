import json

import pytest

from agenttrain.errors import UserError
from agenttrain.task.prompts import Prompts


def test_without_a_file_tasks_differ_by_their_id_which_seeds_them():
    train, heldout = list(Prompts(prompt="Go.", n=5)), list(Prompts(prompt="Go.", split="heldout", n=5))
    assert len({task.id for task in train + heldout}) == 10
    assert {task.messages[0]["content"] for task in train} == {"Go."}
    assert [task.id for task in Prompts(seed=2, n=3)] == [task.id for task in Prompts(n=5)][2:]


def test_prompts_of_a_file(tmp_path):
    path = tmp_path / "p.jsonl"
    records = [{"prompt": f"{n}?", "answer": n, "data": {"n": n}} for n in range(50)]
    records.append({"id": "whole", "messages": [{"role": "system", "content": "Be brief."}]})
    path.write_text("\n".join(map(json.dumps, records)))
    every = {task.id: task for task in Prompts(file=str(path), split="all")}
    assert len(every) == 51
    assert every["p/3"].answer == 2
    assert every["p/3"].data == {"n": 2}
    assert every["p/whole"].messages[0]["role"] == "system"
    split = [{task.id for task in Prompts(file=str(path), split=name)} for name in ("train", "heldout")]
    assert not split[0] & split[1]
    assert split[0] | split[1] == set(every)
    with pytest.raises(UserError, match="has 51 prompts in split all, not 52"):
        list(Prompts(file=str(path), split="all", n=52))


@pytest.mark.parametrize("record", [{}, {"prompt": 3}, {"prompt": "a", "data": []}, [1], {"messages": "a"}])
def test_a_malformed_record_is_named_with_its_line(tmp_path, record):
    (tmp_path / "p.jsonl").write_text(json.dumps(record))
    with pytest.raises(UserError, match=r"p\.jsonl"):
        list(Prompts(file=str(tmp_path / "p.jsonl"), split="all"))


def test_an_unknown_split_is_refused():
    with pytest.raises(UserError, match="No split 'test'"):
        Prompts(split="test")
