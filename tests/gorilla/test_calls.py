"""Calls are found in every form of answer that models give, and compared as syntax trees."""

import pytest

from agenttrain.gorilla.calls import calls, last_name, read_answer

HUB = "torch.hub.load(repo_or_dir='pytorch/vision', model='resnet50', pretrained=True)"


def one(text):
    return next(calls(text))


@pytest.mark.parametrize(
    "answer",
    [
        HUB,
        f"model = {HUB}",
        f"<<<domain>>>: Classification, <<<api_call>>>: {HUB}, <<<api_provider>>>: PyTorch, <<<code>>>: print(1)",
        f"{{'domain': 'Classification', 'api_call': \\\"model = {HUB}\\\", 'api_provider': 'PyTorch', 'code': f(2)}}",
        f"You can use this.\n```python\n{HUB}\n```\nIt loads the model.",
        f"{HUB}.",
    ],
)
def test_the_call_of_an_answer_is_found_in_every_form(answer):
    assert read_answer(answer) == one(HUB)


@pytest.mark.parametrize("answer", ["", "I do not know.", "hub.load('a'", "f(1 +)", "f(" * 5000])
def test_an_answer_without_a_whole_call_has_none(answer):
    assert read_answer(answer) is None


def test_brackets_within_quotes_do_not_close_a_call():
    assert one("f('a)', 1)").positional == ("'a)'", "1")


@pytest.mark.parametrize(
    "text",
    [
        'torch.hub.load( repo_or_dir = "pytorch/vision",model="resnet50",  pretrained=True )',
        "torch.hub.load(pretrained=True, model='resnet50', repo_or_dir='pytorch/vision')",
        "torch.hub.load('pytorch/vision', 'resnet50', pretrained=True)",
    ],
)
def test_quotes_order_of_keywords_and_position_do_not_matter(text):
    assert one(text).same(one(HUB))
    assert one(HUB).same(one(text))


@pytest.mark.parametrize(
    "text",
    [
        "torch.hub.loads(repo_or_dir='pytorch/vision', model='resnet50', pretrained=True)",
        "torch.hub.load(repo_or_dir='pytorch/vision', model='resnet51', pretrained=True)",
        "torch.hub.load(repo_or_dir='pytorch/vision', model='resnet50', pretrained=False)",
        "torch.hub.load(repo_or_dir='pytorch/vision', model='resnet50', pretrained='True')",
        "torch.hub.load(repo_or_dir='pytorch/vision', model='resnet50')",
        "torch.hub.load(repo_or_dir='pytorch/vision', model='resnet50', pretrained=True, force=True)",
        "torch.hub.load(repo_or_dir='resnet50', model='pytorch/vision', pretrained=True)",
    ],
)
def test_one_changed_name_argument_or_value_makes_another_call(text):
    assert not one(text).same(one(HUB))
    assert not one(HUB).same(one(text))


def test_arguments_by_position_after_named_ones_are_read_though_python_does_not():
    found = one("torch.hub.load(repo_or_dir='szq0214/MEAL-V2', 'meal_v2', model='m=1', pretrained=True)")
    assert found.positional == ("'meal_v2'",)
    assert found.keywords == {"repo_or_dir": "'szq0214/MEAL-V2'", "model": "'m=1'", "pretrained": "True"}


def test_an_api_is_called_by_its_strings():
    assert one(HUB).strings == ("pytorch/vision", "resnet50")
    assert last_name("https://tfhub.dev/google/elmo/3") == "elmo"
    assert last_name("princeton-nlp/sup-simcse") == "sup-simcse"
