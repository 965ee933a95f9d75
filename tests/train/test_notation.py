from random import Random

import pytest

from npc.errors import ConfigError
from npc.train.notation import as_clause, choose_details, fill, read_action, read_entity, single, slots


def test_a_signature_becomes_an_action() -> None:
    spec = read_action("hoist(flag=object, side=left|right, (times=1..5), (words=text))", "Hoist a flag.")
    kinds = [(p.name, p.kind, p.is_optional) for p in spec.parameters]
    assert kinds == [
        ("flag", "object", False),
        ("side", "enum", False),
        ("times", "number", True),
        ("words", "string", True),
    ]
    assert (spec.parameters[2].minimum, spec.parameters[2].maximum) == (1, 5)


@pytest.mark.parametrize("wrong", ["Hoist(flag)", "hoist(flag=banner)", "hoist(flag=object"])
def test_a_wrong_signature_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"hoist_flag|have place"):
        read_action(wrong, "Hoist.")


def test_question_and_answer_repeat_what_the_fact_chose() -> None:
    fact = "Cast in {year:1688|1731} of {metal:tin|bronze}."
    details = choose_details(fact, Random(3))
    assert fill(fact, details) == f"Cast in {details['year']} of {details['metal']}."
    assert fill("{Metal}, in {year}.", details).startswith(details["metal"].capitalize())
    assert slots("{Metal} and {year}") == ["metal", "year"]


def test_a_slot_without_a_value_is_an_error() -> None:
    with pytest.raises(ConfigError, match="stands for nothing"):
        fill("{price} coins", {"year": "1"})


def test_a_thing_has_a_name_and_what_is_said_of_it() -> None:
    entity = read_entity("lamp", "the great lamp | smokes")
    assert (entity.id, entity.name, entity.description) == ("lamp", "the great lamp", "smokes")


def test_a_question_becomes_a_clause_where_its_grammar_is_plain() -> None:
    told = {
        "How deep is the well?": "how deep the well is",
        "Where does Jory live?": "where Jory lives",
        "Who cast the bell?": "who cast the bell",
        "What do you want?": "what you want",
        "Where can I buy rope?": "where I can buy rope",
        "When is the gate opened?": None,
        "Where does the river pass?": None,
        "Was it long ago?": None,
        "Who is paid by the crown today?": None,
    }
    assert {question: as_clause(question) for question in told} == told


@pytest.mark.parametrize(
    ("many", "one"),
    [
        ("fetch {n} crates", "fetch {n} crate"),
        ("{N} gold boxes, please", "{N} gold box, please"),
        ("{n} candies", "{n} candy"),
        ("knock {n} times", "knock {n} times"),  # becomes "once" where it is said
        ("cut {n} of them", "cut {n} of them"),
        ("{other} crates", "{other} crates"),
    ],
)
def test_one_of_a_thing_has_no_plural(many: str, one: str) -> None:
    assert single(many, "n") == one
