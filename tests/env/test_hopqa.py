import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from agenttrain.bm25 import Index, Passage
from agenttrain.env import hopqa
from agenttrain.env.hopqa import NOTHING, Hopqa, exact_match, f1
from agenttrain.errors import UserError
from agenttrain.types import Environment, Episode, Task
from agenttrain.worlds.people import World

SIZE = 60
WORLD = World(0, SIZE)


def act(name, **arguments):
    return {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": name, "arguments": arguments}}]}


def task(question=None):
    question = question or WORLD.questions(2)[0]
    data = {"world": 0, "size": SIZE, "gold": list(question.gold)}
    return Task("t", [{"role": "user", "content": question.text}], question.answer, data)


def open_episode(task=task(), seed=0, **settings):  # noqa: B008
    episode = Hopqa(**settings).episode(task, seed)
    episode.start()
    return episode


def search(episode, query):
    return episode.step(act("search", query=query)).messages[0]["content"]


def test_a_name_finds_its_own_passage_first():
    index = Index(WORLD.passages)
    for number, passage in enumerate(WORLD.passages):
        assert index.search(passage.title, 1) == [number]


def test_one_search_finds_the_first_passage_and_not_the_answer():
    for question in WORLD.questions(2):
        found = search(open_episode(task(question)), question.text)
        assert found.startswith(question.subject + ":")
        assert question.answer not in found


def test_equal_scores_keep_the_order_of_the_corpus():
    index = Index([Passage(f"T{n}", "red" if n % 2 else "blue") for n in range(40)])
    assert index.search("red", 40) == list(range(1, 40, 2))
    assert index.search("red", 3) == [1, 3, 5]
    assert index.search("green", 3) == index.search("?!", 3) == index.search("", 3) == []


def test_a_search_is_cached_and_its_answer_may_be_changed():
    index = Index(WORLD.passages)
    index.search("the", 3).append(-1)
    assert index.search("the", 3) == Index(WORLD.passages).search("the", 3)
    assert index._cached.cache_info().hits == 1


def test_a_repeated_word_outweighs_no_name():
    index = Index(
        [Passage("Rome", "On the hills and the river."), Passage("Oslo", "A city."), Passage("Bonn", "A city.")]
    )
    assert index.search("What is the name of the king of the city of the name of Oslo?", 1) == [1]


def test_an_episode_from_search_to_finish():
    question = WORLD.questions(2)[0]
    episode = open_episode(task(question))
    assert isinstance(episode, Episode)
    assert isinstance(Hopqa(), Environment)
    first, again, second, last = (
        episode.step(action)
        for action in (
            act("search", query=question.gold[0]),
            act("search", query=question.gold[0]),
            act("search", query=question.gold[1]),
            act("finish", answer=f"the {question.answer.upper()}."),
        )
    )
    assert [turn.feedback for turn in (first, again, second)] == [{"found": True}, {"found": False}, {"found": True}]
    assert [turn.done for turn in (first, again, second, last)] == [False, False, False, True]
    assert last.feedback == {"success": True, "f1": 1.0}
    assert last.reward == 1.0
    wrong = open_episode().step(act("finish", answer="Nobody"))
    assert (wrong.done, wrong.reward, wrong.feedback) == (True, 0.0, {"success": False, "f1": 0.0})


def test_the_state_is_what_has_been_seen_in_any_order():
    one, two = open_episode(), open_episode()
    names = [WORLD.passages[number].title for number in (0, 8)]  # a set of these two shows them as they came
    start = one.step(act("search", query=names[0])).state
    middle = one.step(act("search", query=names[1])).state
    assert two.step(act("search", query=names[1])).state == start
    two.step(act("search", query=names[0]))
    assert one.step(act("finish", answer="")).state == two.step(act("finish", answer="")).state
    assert len({start, middle, one.state, open_episode(task(WORLD.questions(2)[1])).state}) == 4


@pytest.mark.parametrize("action", [{"role": "assistant", "content": "hm"}, act("open"), act("search", query=3)])
def test_a_malformed_action_is_answered(action):
    turn = open_episode().step(action)
    assert turn.feedback["invalid_call"] == turn.messages[0]["content"]
    assert not turn.done


def test_k_and_max_chars_bound_an_observation():
    assert search(open_episode(k=3), "city").count("\n") == 2
    assert len(search(open_episode(k=50, max_chars=70), "city")) == 70


def test_noise_replaces_its_share_of_results_by_nothing_or_others():
    title = WORLD.passages[0].title
    results = [search(open_episode(seed=seed, noise=0.6), title) for seed in range(400)]
    assert results == [search(open_episode(seed=seed, noise=0.6), title) for seed in range(400)]
    nothing, right = results.count(NOTHING), sum(result.startswith(title) for result in results)
    assert nothing / 400 == pytest.approx(0.3, abs=0.07)
    assert right / 400 == pytest.approx(0.4, abs=0.07)
    assert len(set(results)) > 50
    assert open_episode(seed=1, noise=1.0).step(act("search", query=title)).feedback == {"found": False}


def test_threads_share_one_index_and_see_what_one_thread_sees(monkeypatch):
    built = []

    def index(passages):
        built.append(1)
        time.sleep(0.05)  # time for the other threads to come
        return Index(passages)

    monkeypatch.setattr(hopqa, "Index", index)
    hopqa._world_index.cache_clear()
    questions = WORLD.questions(2)[:200]

    def play(question):
        episode = open_episode(task(question), k=2, noise=0.3)
        return [search(episode, name) for name in (question.text, *question.gold)]

    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(play, questions)) == [play(question) for question in questions]
    assert len(built) == 1


def test_a_corpus_of_the_users_own(tmp_path):
    path = tmp_path / "corpus.jsonl"
    records = [{"title": "Ed Wood", "text": "An American director."}, {"title": "Oslo", "text": "A city."}]
    path.write_text("\n".join(map(json.dumps, records)))
    own = Task("q1", [{"role": "user", "content": "Is Ed Wood American?"}], "yes")
    turn = open_episode(own, corpus=str(path)).step(act("search", query="who was ed wood"))
    assert turn.messages[0]["content"] == "Ed Wood: An American director."
    assert turn.feedback == {}
    with pytest.raises(UserError, match=r"env\.corpus="):
        Hopqa().episode(own, 0)
    with pytest.raises(UserError, match=r"none.jsonl: No such file"):
        Hopqa(corpus=str(tmp_path / "none.jsonl")).episode(own, 0)
    (tmp_path / "torn.jsonl").write_text(json.dumps(records[0]) + '\n{"title": "B"}')
    with pytest.raises(UserError, match=r"torn.jsonl:2: 'text' is missing"):
        Hopqa(corpus=str(tmp_path / "torn.jsonl")).episode(own, 0)


@pytest.mark.parametrize("settings", [{"k": 0}, {"max_chars": 0}, {"noise": 1.5}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(UserError, match="env=hopqa takes"):
        Hopqa(**settings)


@pytest.mark.parametrize(
    ("given", "gold", "same"),
    [
        ("The Eiffel Tower!", "eiffel tower", True),
        ("  an  apple ", "Apple", True),
        ("U.S.", "US", True),
        ("Theatre", "atre", False),
        ("a", "", True),
        ("Animal Farm", "Farm", False),
        ("twenty-one", "twentyone", True),
    ],
)
def test_exact_match_is_squads(given, gold, same):
    assert exact_match(given, gold) is same


@pytest.mark.parametrize(
    ("given", "gold", "score"),
    [
        ("in the Eiffel Tower", "Eiffel Tower", 0.8),
        ("Paris Paris", "Paris", 2 / 3),
        ("London", "Paris", 0.0),
        ("", "Paris", 0.0),
        ("The", "an", 1.0),
        ("yes it is", "yes", 0.0),
        ("No.", "no", 1.0),
    ],
)
def test_f1_is_hotpotqas(given, gold, score):
    assert f1(given, gold) == pytest.approx(score)
