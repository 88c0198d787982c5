"""A request must not give away what the API is called."""

import random

import pytest

from agenttrain.gorilla.documents import Document
from agenttrain.gorilla.requests import refusal, written

CALL = "pipeline('text-to-image', model='princeton-nlp/SimCSE-base')"
DOCUMENT = Document(
    "1", {"api_name": "SimCSE", "api_call": CALL, "domain": "Text-to-Image", "functionality": "Painting"}
)


@pytest.mark.parametrize(
    "request_",
    ["Use princeton-nlp/SimCSE-base for me.", "I like simcse-BASE.", "Is SimCSE good?", "Load 'SimCSE', please."],
)
def test_a_request_that_names_the_api_is_refused_however_it_is_written(request_):
    assert refusal(request_, DOCUMENT) == "names the API"


@pytest.mark.parametrize(
    "request_", ["I need text to image.", "Some text-to-image model, please.", "SimCSEs are nice."]
)
def test_a_request_may_say_what_the_api_does(request_):
    assert refusal(request_, DOCUMENT) is None


def test_a_text_that_is_no_request_is_refused():
    assert refusal("  \n", DOCUMENT) == "empty"
    assert refusal("please " * 200, DOCUMENT) == "too long"


def test_a_word_of_everyday_language_at_the_end_of_a_name_may_be_said():
    hub = Document("1", {"api_call": "torch.hub.load('pytorch/vision', 'resnet50')"})
    assert refusal("A computer vision app needs this.", hub) is None
    assert refusal("Give me pytorch/vision.", hub) == "names the API"


def test_templates_ask_for_what_they_are_told():
    requests = {written("bird detection", random.Random(seed)) for seed in range(50)}
    assert len(requests) > 3
    assert all("bird detection" in request for request in requests)
