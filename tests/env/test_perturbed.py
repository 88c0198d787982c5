import pytest

from agenttrain.env.craft import Craft
from agenttrain.env.hopqa import Hopqa
from agenttrain.env.perturbed import DISTRACTORS, FAULT, NOTHING, Perturbed
from agenttrain.env.sql import Sql
from agenttrain.errors import UserError
from agenttrain.policy.craft_expert import CraftExpert
from agenttrain.policy.hopqa_expert import HopqaExpert
from agenttrain.rollout import Attempt, Limits, attempts, rollout
from agenttrain.task.craft import Craft as CraftTasks
from agenttrain.task.hopqa import Hopqa as HopqaTasks
from agenttrain.task.sql import Sql as SqlTasks
from agenttrain.types import Environment, Episode

TASKS = list(CraftTasks(n=20))
BAD = {"role": "assistant", "content": "hello"}


def played(env, tasks=TASKS, policy=None, per_task=1):
    ended = rollout(attempts(tasks, per_task), env, policy or CraftExpert(), Limits())
    return {(t.task.id, t.attempt): t for t in ended}


def opened(env, task=TASKS[0], seed=0):
    episode = env.episode(task, seed)
    episode.opening = episode.start()
    return episode


def act(name, *more, **arguments):
    calls = [{"id": "1", "type": "function", "function": {"name": name, "arguments": arguments}}, *more]
    return {"role": "assistant", "content": "", "tool_calls": calls}


def names(episode):
    return [t["function"]["name"] for t in episode.tools]


def properties(tool):
    return list(tool["function"]["parameters"]["properties"])


def test_without_changes_it_is_the_environment_itself():
    changed, plain = played(Perturbed(Craft())), played(Craft())
    assert isinstance(Perturbed(Craft()), Environment)
    assert isinstance(opened(Perturbed(Craft())), Episode)
    for key, trajectory in plain.items():
        assert changed[key].conversation() == trajectory.conversation()
        assert changed[key].tools == trajectory.tools
        assert [turn.observation for turn in changed[key].turns] == [turn.observation for turn in trajectory.turns]
        assert changed[key].meta["env"] == "craft"


def test_renamed_tools_work_by_their_new_names_alone():
    plain, renamed = opened(Craft()), opened(Perturbed(Craft(), rename=True))
    gather, _ = names(renamed)
    [argument] = properties(renamed.tools[0])
    assert not {gather, argument} & {"get", "craft", "item"}
    assert renamed.tools[0]["function"]["parameters"]["required"] == [argument]
    item = sorted(plain.raw)[0]
    was, now = plain.step(act("get", item=item)), renamed.step(act(gather, **{argument: item}))
    assert now.feedback == was.feedback
    assert now.messages == [was.messages[0] | {"name": gather, "tool_call_id": "1"}]
    refused = renamed.step(act("get", item=item))
    assert refused.feedback["invalid_call"].startswith(f"Unknown tool 'get'. Tools: {gather}")
    assert refused.feedback["steps_left"] == now.feedback["steps_left"] - 1  # as in the environment itself
    unreadable = renamed.step(BAD)
    assert f"Call one of: {gather}" in unreadable.messages[0]["content"]
    assert "get" not in unreadable.messages[0]["content"].split(" You have")[0].split()


def test_the_system_message_names_tools_as_they_are_shown():
    task = next(iter(SqlTasks()))
    renamed = opened(Perturbed(Sql(), rename=True), task)
    look, submit = names(renamed)
    assert renamed.opening[0]["content"] == f"Answer with one query: look at the database with {look}, then {submit}."


def test_arguments_of_one_name_share_one_and_seeds_draw_others():
    tools = opened(Perturbed(Craft(), rename=True)).tools
    assert properties(tools[0]) == properties(tools[1])
    assert names(opened(Perturbed(Craft(), rename=True))) == [t["function"]["name"] for t in tools]
    assert names(opened(Perturbed(Craft(), rename=True, seed=1))) != [t["function"]["name"] for t in tools]


def test_shuffling_keeps_all_and_changes_the_order():
    orders = {tuple(names(opened(Perturbed(Craft(), shuffle=True, distractors=3, seed=seed)))) for seed in range(9)}
    assert len(orders) > 3
    assert all({"get", "craft"} <= {*order} and len(order) == 5 for order in orders)


def test_descriptions_are_reworded_or_gone():
    told = {kind: opened(Perturbed(Craft(), descriptions=kind)).tools[0] for kind in ("same", "paraphrased", "none")}
    words = {kind: tool["function"]["description"] for kind, tool in told.items()}
    assert words["none"] == ""
    assert words["same"] in words["paraphrased"] != words["same"]


def test_a_distractor_does_nothing_and_is_counted():
    episode = opened(Perturbed(Craft(), distractors=len(DISTRACTORS)))
    before = episode.base.steps_left
    seen = episode.step(act("roll_dice", dice=2))
    assert (seen.feedback, seen.done, seen.state) == ({"distractor": "roll_dice"}, False, "")
    assert seen.messages[0]["content"] == "Nothing happened."
    assert episode.base.steps_left == before
    with pytest.raises(UserError, match="there are 8"):
        Perturbed(Craft(), distractors=9)


def test_one_tool_fails_as_often_as_told_and_the_environment_does_not_hear_of_it():
    failed, calls = {}, {}
    for trajectory in played(Perturbed(Craft(slack=4), faulty=0.3), per_task=5).values():
        for turn in trajectory.turns:
            [call] = turn.action.message["tool_calls"]
            name = call["function"]["name"]
            calls[name] = calls.get(name, 0) + 1
            failed[name] = failed.get(name, 0) + (turn.observation.feedback.get("tool_error") == FAULT)
        assert trajectory.success  # a try costs nothing there
    [name] = [name for name in failed if failed[name]]
    assert len(calls) == 2
    share, error = failed[name] / calls[name], (0.3 * 0.7 / calls[name]) ** 0.5
    assert abs(share - 0.3) < 4 * error


def test_noise_hides_what_was_told_and_not_what_was_verified():
    tasks = list(HopqaTasks(n=60))
    plain, noisy = played(Hopqa(), tasks, HopqaExpert()), played(Perturbed(Hopqa(), noise=0.4), tasks, HopqaExpert())
    seen = [turn.observation.messages[0]["content"] for t in noisy.values() for turn in t.turns[:1]]
    share = seen.count(NOTHING) / len(seen)  # nothing was told before, so of the first ones all are empty
    assert abs(share - 0.4) < 4 * (0.4 * 0.6 / len(seen)) ** 0.5
    assert sum(len(t.turns) for t in noisy.values()) > sum(len(t.turns) for t in plain.values())  # it searches again
    assert all(t.stop == "done" for t in noisy.values())


def test_a_replaced_observation_is_an_earlier_one():
    episode = opened(Perturbed(Craft(slack=4), noise=1.0), seed=3)
    items = sorted(episode.base.raw)
    shown = [episode.step(act("get", item=item)).messages[0]["content"] for item in (items * 9)[:9]]
    assert shown[0] == NOTHING
    earlier = [text for text in shown if text != NOTHING]
    assert earlier
    assert all(text.startswith("You have: ") for text in earlier)


def test_equal_seeds_give_equal_episodes():
    env = Perturbed(Craft(slack=3), rename=False, noise=0.5, faulty=0.5)
    twice = [next(rollout([Attempt(TASKS[3], 0, 7)], env, CraftExpert(0.3))).conversation() for _ in range(2)]
    assert twice[0] == twice[1]


def test_every_call_of_one_action_is_answered():
    more = {"id": "2", "type": "function", "function": {"name": "get", "arguments": {"item": "x"}}}
    answered = opened(Perturbed(Craft())).step(act("get", more, item="x"))
    assert [m.get("tool_call_id") for m in answered.messages] == ["1", "2"]
