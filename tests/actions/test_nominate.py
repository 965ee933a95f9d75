from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from llguidance import LLMatcher, LLTokenizer

from npc.actions import ActionSpec, Nominator, Parameter, compile_reply_grammar, load_library
from npc.actions.mentions import Names
from npc.actions.nominate import Vectors
from npc.models import ModelStore
from npc.world import Entity, Scene

VILLAGE = Scene(
    places=(Entity(id="well", name="the old well"), Entity(id="mill"), Entity(id="market_square"), Entity(id="forge")),
    objects=(
        Entity(id="hammer"),
        Entity(id="sword", name="the iron sword"),
        Entity(id="horseshoe"),
        Entity(id="chest", name="an oak chest"),
        Entity(id="door"),
        Entity(id="lantern"),
    ),
    characters=(
        Entity(id="anna", name="Anna"),
        Entity(id="bandit", name="the bandit"),
        Entity(id="old_tom", name="Old Tom"),
    ),
)

WALK = ActionSpec(
    "walk_to",
    "Walk.",
    (Parameter("place", "place"),),
    ("walk to the {place}",),
    ("how deep is the {place}?",),
)
GIVE = ActionSpec(
    "give",
    "Give.",
    (Parameter("item", "object"), Parameter("to", "character")),
    ("give me the {item}", "give the {item} to {to}"),
    ("who gave you the {item}?",),
)


class WordEmbedder:
    """A text's vector is its words: equal words, equal meaning."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._index: dict[str, int] = {}

    async def embed(self, texts: Sequence[str]) -> Vectors:
        self.seen += texts
        vectors = np.zeros((len(texts), 200), np.float32)
        for n, text in enumerate(texts):
            for word in "".join(c if c.isalnum() else " " for c in text).split():
                vectors[n, self._index.setdefault(word, len(self._index))] = 1
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors /= lengths
        return vectors


def test_names_are_found_by_id_by_name_and_by_their_last_word() -> None:
    mentions = Names(VILLAGE).find("Is the well near the Market Square, Anna? Bring my iron sword!")
    assert mentions.targets == {"place": ("well", "market_square"), "object": ("sword",), "character": ("anna",)}
    assert mentions.text == "is the place near the place, the person? bring my thing!"


def test_a_last_word_that_two_share_names_neither() -> None:
    gates = Scene(places=(Entity(id="north_gate"), Entity(id="south_gate")))
    assert Names(gates).find("Go to the gate.").targets == {}
    assert Names(gates).find("Go to the north gate.").targets == {"place": ("north_gate",)}


async def test_a_request_names_its_action_and_target() -> None:
    nominator = await Nominator.build([WALK, GIVE], WordEmbedder())
    nomination = await nominator.nominate("Good day. Please walk to the old well!", [WALK, GIVE], VILLAGE)
    assert nomination is not None
    assert nomination.names == ("walk_to",)
    assert nomination.targets == {"place": ("well",)}


async def test_the_player_is_meant_where_nobody_is_named() -> None:
    nominator = await Nominator.build([WALK, GIVE], WordEmbedder())
    to_player = await nominator.nominate("Give me the hammer", [WALK, GIVE], VILLAGE)
    to_anna = await nominator.nominate("Give the hammer to Anna", [WALK, GIVE], VILLAGE)
    assert to_player is not None
    assert to_player.targets == {"object": ("hammer",), "character": ("player",)}
    assert to_anna is not None
    assert to_anna.targets == {"object": ("hammer",), "character": ("anna",)}


@pytest.mark.parametrize(
    "utterance",
    [
        "How deep is the well?",
        "Walk to the castle.",
        "",
        "?!",
        "Hello!",
    ],
)
async def test_what_is_no_request_or_names_nothing_here_is_not_nominated(utterance: str) -> None:
    nominator = await Nominator.build([WALK, GIVE], WordEmbedder())
    assert await nominator.nominate(utterance, [WALK, GIVE], VILLAGE) is None


async def test_a_request_for_what_this_character_cannot_do_is_not_taken_for_something_else() -> None:
    nominator = await Nominator.build([WALK, GIVE], WordEmbedder())
    assert await nominator.nominate("Give me the hammer", [WALK], VILLAGE) is None


async def test_phrasings_are_embedded_once_whatever_the_scene() -> None:
    embedder = WordEmbedder()
    nominator = await Nominator.build([WALK, GIVE], embedder)
    n_phrasings = len(embedder.seen)
    for n in range(5):
        await nominator.nominate("Walk to the well", [WALK], Scene(places=(Entity(id=f"place_{n}"), Entity(id="well"))))
    assert len(embedder.seen) == n_phrasings + 5


async def test_the_grammar_of_a_nomination_allows_what_was_asked_for_alone() -> None:
    nominator = await Nominator.build([WALK, GIVE], WordEmbedder())
    nomination = await nominator.nominate("Walk to the well", [WALK, GIVE], VILLAGE)
    assert nomination is not None
    grammar = compile_reply_grammar([WALK, GIVE], VILLAGE, "required", nomination.names, nomination.targets)

    def is_allowed(reply: str) -> bool:
        matcher, ids = LLMatcher(LLTokenizer("byte"), grammar.lark), list(reply.encode())
        return matcher.try_consume_tokens(ids) == len(ids) and matcher.is_accepting()

    assert is_allowed("Aye. [walk_to(place=well)]")
    assert not is_allowed("Aye. [walk_to(place=mill)]")
    assert not is_allowed("Aye. [give(item=sword, to=player)]")


def requests(file: str) -> list[tuple[str, str, str]]:
    lines = (Path(__file__).parent / file).read_text().splitlines()
    rows = [(line.split("\t") + ["", ""])[:3] for line in lines if line and not line.startswith("#")]
    return [(utterance, action, target) for utterance, action, target in rows]


@pytest.mark.real
@pytest.mark.parametrize(
    ("file", "least_precision", "least_recall", "most_false"),
    [("requests.tsv", 0.9, 0.85, 0.04), ("requests_unseen.tsv", 0.88, 0.85, 0.08)],
)
async def test_requests_are_told_from_talk(
    models: ModelStore, file: str, least_precision: float, least_recall: float, most_false: float
) -> None:
    from npc.knowledge.embedder import Embedder

    embedder = Embedder.load(models.ensure("all-minilm-l6-v2"))
    actions = list(load_library().values())
    nominator = await Nominator.build(actions, embedder)
    n_right = n_nominated = n_false = 0
    rows = requests(file)
    for utterance, action, target in rows:
        nomination = await nominator.nominate(utterance, actions, VILLAGE)
        if nomination is None:
            continue
        n_nominated += 1
        n_false += not action
        is_right = nomination.names == (action,)
        n_right += is_right
        if is_right and target:
            assert any(target in ids for ids in nomination.targets.values()), utterance
    n_requests = sum(bool(action) for _, action, _ in rows)
    precision, recall = n_right / n_nominated, n_right / n_requests
    falsely = n_false / (len(rows) - n_requests)
    print(f"{file}: precision {precision:.3f}, recall {recall:.3f}, talk taken for a request {falsely:.3f}")
    assert precision >= least_precision
    assert recall >= least_recall
    assert falsely <= most_false
