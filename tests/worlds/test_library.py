import subprocess
import sys

import pytest

from agenttrain.worlds.library import MOST, RELATIONS, Library


def test_equal_seeds_give_equal_entries_in_every_process():
    show = "from agenttrain.worlds import library as a; print(*map(a.Library(3, 400).entry, range(400)), sep='\\n')"
    first, second = (
        subprocess.run([sys.executable, "-c", show], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True)
        for seed in ("1", "2")
    )
    assert first.stdout == second.stdout
    assert first.stdout.count(b"\n") == 400
    assert Library(3, 40).entry(0) != Library(4, 40).entry(0)


def test_no_two_entries_of_the_largest_library_share_a_title():
    library = Library(0, MOST)
    assert len({library.title(number) for number in range(MOST)}) == MOST


def test_a_fact_names_the_entry_that_it_leads_to():
    library = Library(1, 80)
    for number in range(80):
        entry = library.entry(number)
        assert list(entry.facts) == list(RELATIONS[entry.kind])
        assert all(fact in entry.text for fact in entry.facts.values())
        for relation, kind in RELATIONS[entry.kind].items():
            if kind:
                led = library.entry(library.follow(number, relation))
                assert (led.kind, led.title) == (kind, entry.facts[relation])
            else:
                with pytest.raises(ValueError, match="not in tuple"):
                    library.follow(number, relation)
    with pytest.raises(IndexError):
        library.entry(80)
