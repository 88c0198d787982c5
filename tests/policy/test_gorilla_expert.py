"""The reader of documents repeats the call that is shown, quotes and all (episodes: tests/env/test_gorilla.py)."""

import json

import pytest

from agenttrain.policy.gorilla_expert import GorillaExpert
from agenttrain.types import Conversation


@pytest.mark.parametrize("call", ["f('a')", "f(\"a\", b='c')", "f('a\\\\b')", "f('é')"])
def test_it_repeats_the_call_as_it_stands(call):
    shown = "I need x.\nUse this: " + json.dumps({"domain": "x", "api_call": call, "more": "y"}, ensure_ascii=False)
    said = GorillaExpert().act(Conversation("1", [{"role": "user", "content": shown}], [], 0))
    assert said["content"] == call


def test_without_a_document_it_says_so():
    said = GorillaExpert().act(Conversation("1", [{"role": "user", "content": "I need x."}], [], 0))
    assert said["content"] == "I was shown no document."
