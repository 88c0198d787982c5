import pytest

from agenttrain.config.compose import compose
from agenttrain.config.overrides import parse, quoted
from agenttrain.errors import UserError


@pytest.mark.parametrize("text", ["a b", "it's", "ends in \\", "\\' inside", "\\\\twice", "{a}: [b], $c", "", "a=b,c"])
def test_a_quoted_text_comes_back_as_it_was(text):
    (override,) = parse([f"out={quoted(text)}"])
    assert override.value() == text
    assert not override.is_sweep_override()


def test_an_option_that_holds_another_takes_it_by_its_parameter():
    chosen = compose("rl", ["model=tiny", "credit=empg", "credit.base=gigpo", "credit.base.gamma=0.5"])
    credit = chosen.call().keywords["credit"]
    assert (type(credit).__name__, type(credit.base).__name__, credit.base.gamma) == ("Empg", "Gigpo", 0.5)
    checked = compose("credit-check", ["credit=[empg,grpo]", "credit.empg.base=turn"]).call().keywords["credit"]
    assert type(checked["empg"].base).__name__ == "Turn"
    with pytest.raises(UserError, match=r"no 'credit\.base' in rl: the chosen option of credit holds no other"):
        compose("rl", ["model=tiny", "credit=grpo", "credit.base=gigpo"])
    with pytest.raises(UserError, match=r"no option 'gigp' in group credit\. Did you mean gigpo"):
        compose("rl", ["model=tiny", "credit=empg", "credit.base=gigp"])


def test_what_goes_by_an_environment_goes_by_the_one_within_it():
    changed = compose("eval", ["model=tiny", "env=perturbed", "env.base=sql", "env.base.rows=5"])
    assert changed.values["task"]["_target_"] == "agenttrain.task.sql.Sql"
    assert changed.values["task"]["split"] == "heldout"
    own = compose("eval", ["model=tiny", "env=perturbed", "env.base=sql", "task=sql", "task.split=unseen"])
    assert own.values["task"]["split"] == "unseen"
    assert compose("eval", ["model=tiny", "env=perturbed"]).choices["task"] == "craft_heldout"


def test_a_list_of_environments_brings_the_tasks_of_each():
    chosen = compose("rl", ["model=tiny", "env=[craft,sql]", "env.of.craft.slack=2", "task.shares.sql=3"]).call()
    env, task = chosen.keywords["env"], chosen.keywords["task"]
    assert {name: type(one).__name__ for name, one in env.of.items()} == {"craft": "Craft", "sql": "Sql"}
    assert env.of["craft"].slack == 2
    assert task.shares == {"craft": 1.0, "sql": 3.0}
    heldout = compose("eval", ["model=tiny", "env=[craft,sql]"])
    assert {name: one["split"] for name, one in heldout.values["task"]["of"].items()} == dict.fromkeys(
        ("craft", "sql"), "heldout"
    )
    with pytest.raises(UserError, match=r"no option 'sqll' in group env\. Did you mean sql"):
        compose("rl", ["model=tiny", "env=[craft,sqll]"])
    with pytest.raises(UserError, match="group model takes one option"):
        compose("rl", ["model=[tiny,pretrained]"])
    with pytest.raises(UserError, match=r"env=\[craft,sql\]"):
        compose("rl", ["model=tiny", "env=several", "task=craft"]).call()


def test_held_out_tasks_of_rl_go_by_the_environment_unless_chosen():
    def heldout(*overrides):
        return compose("rl", ["model=tiny", *overrides]).values.get("heldout")

    assert heldout()["split"] == heldout("task.split=deep")["split"] == "heldout"
    assert heldout("env=sql")["_target_"] == heldout("env=perturbed", "env.base=sql")["_target_"]
    assert heldout("env=sql")["_target_"] == "agenttrain.task.sql.Sql"
    assert {one["split"] for one in heldout("env=[craft,sql]")["of"].values()} == {"heldout"}
    chosen = heldout("heldout=craft", "heldout.split=deep", "heldout.n=7")
    assert (chosen["split"], chosen["n"]) == ("deep", 7)
    assert heldout("env=bfcl", "task.path=x") is None, "what would need a value of its own is left out"
    assert heldout("env=bfcl", "task.path=x", "heldout.path=y")["path"] == "y"
    assert heldout("env=trl_class", "env.target=games:Lamp", "task=craft") is None, "nobody wrote any"
    with pytest.raises(UserError, match=r"no option 'craft_heldot' in group task\. Did you mean craft_heldout"):
        heldout("heldout=craft_heldot")
    with pytest.raises(UserError, match=r"heldout\.path has no value"):
        heldout("env=bfcl", "task.path=x", "heldout=bfcl_heldout")
