import pytest

from agenttrain.env.hopqa import Hopqa as Env
from agenttrain.errors import UserError
from agenttrain.policy.hopqa_expert import HopqaExpert, read_question
from agenttrain.task.hopqa import Hopqa
from agenttrain.types import Conversation


def play(task, policy, seed=0, turns=12, **settings):
    """The turns of one episode: assistant messages and observations."""
    episode = Env(**settings).episode(task, seed)
    talk, played = Conversation(task.id, list(episode.start()), episode.tools, seed), []
    while talk.turn < turns:
        message = policy.act(talk)
        observation = episode.step(message)
        played.append((message, observation))
        talk.messages += [message, *observation.messages]
        talk.turn += 1
        if observation.done:
            break
    return played


def score(policy, tasks, **settings):
    ends = [play(task, policy, seed, **settings)[-1][1] for seed, task in enumerate(tasks)]
    return sum(end.feedback.get("success", False) for end in ends) / len(ends)


@pytest.mark.parametrize("split", ["train", "heldout", "deep"])
@pytest.mark.parametrize("world", [0, 7])
def test_it_answers_every_question_in_as_many_searches_as_hops(split, world):
    for task in Hopqa(split=split, world=world, size=60, one_hop=0.3):
        turns = play(task, HopqaExpert())
        assert turns[-1][1].feedback["success"] is True
        assert len(turns) == task.data["hops"] + 1
        assert all(observation.feedback["found"] for _, observation in turns[:-1])


def test_errors_cost_success_and_more_of_them_cost_more():
    tasks = list(Hopqa(n=200, size=100))
    rare, often, always = (score(HopqaExpert(error), tasks) for error in (0.1, 0.4, 1.0))
    assert 0.9 > rare > 0.7
    assert 0.5 > often > 0.2
    assert always == 0


def test_an_erring_expert_errs_alike_for_equal_seeds():
    tasks = list(Hopqa(n=30, size=60))
    first, second, other = ([play(t, HopqaExpert(0.5), seed) for t in tasks] for seed in (1, 1, 2))
    assert first == second != other


def test_it_searches_again_where_noise_hid_the_passage():
    assert score(HopqaExpert(), list(Hopqa(n=100, size=60)), noise=0.4, turns=30) == 1.0


def test_thoughts_name_what_is_sought_and_what_was_found():
    (task,) = Hopqa(n=1, seed=3)
    relations = read_question(task.messages[-1]["content"])[1]
    first, *_, last = (message["content"] for message, _ in play(task, HopqaExpert(thoughts=True)))
    assert first == f"I need the {relations[0]} of {task.data['gold'][0]}."
    assert last == f"The {relations[-1]} of {task.data['gold'][-1]} is {task.answer}."
    assert all(not message["content"] for message, _ in play(task, HopqaExpert()))


@pytest.mark.parametrize("question", ["Who wrote Emma?", "What is the colour of Emma?"])
def test_a_foreign_question_is_refused(question):
    talk = Conversation("q", [{"role": "user", "content": question}], [], 0)
    with pytest.raises(UserError, match="reads only the invented world's questions"):
        HopqaExpert().act(talk)


def test_it_answers_claims_too():
    assert score(HopqaExpert(), list(Hopqa(n=60, size=60, yes_no=1.0))) == 1.0


def test_circling_ends_where_the_search_tells_something_new():
    tasks = list(Hopqa(n=60, size=60))
    assert score(HopqaExpert(circles=True), tasks) == 1.0
    assert score(HopqaExpert(circles=True), tasks, noise=0.4) < 0.6
