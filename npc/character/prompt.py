"""What the language model reads: who it is, what it can do, what is around, what was said.

The beginning of every prompt of a character in a scene is the same, to the
letter, so that it is prefilled once and kept; what is of this turn alone
(passages, outcomes, the utterance) stands in the last message. Written for
small models: short, plain, one thing a line.
"""

import re
from collections.abc import Sequence

from npc.actions.markup import Rejected, ReplyParser
from npc.actions.spec import ActionSpec, Parameter
from npc.character.character import Character, Example
from npc.state import Exchange, Outcome
from npc.turn import ChatMessage, Passage
from npc.world import Entity, Scene

MAX_UTTERANCE = 1000
MAX_PASSAGE = 600
MAX_SCENE = 700
"""Characters; a scene that is longer is told without descriptions, then in part."""

_SMALL_WORDS = {"a", "an", "the", "to", "at", "of", "up", "down", "out", "in", "your", "for", "with"}
_SMALL_WORDS |= {"somebody", "player", "thing"}

ARRIVAL = "(The player comes up to you.)"


def stable_messages(character: Character, scene: Scene) -> list[ChatMessage]:
    """The part of every prompt that changes only with the scene, which stands last in it."""
    lines = [
        f"You are {character.name}, {character.role}. {character.persona}",
        f"Speak as {character.name} in one or two short sentences, aloud to the player.",
    ]
    if character.style:
        lines.append(f"How you speak: {character.style}")
    if character.goals:
        lines.append(f"What you want: {_joined(character.goals)}")
    if character.limits:
        lines.append(f"What you never do: {_joined(character.limits)}")
    if character.actions:
        lines.append("When the player asks for it, act by writing a call in brackets:")
        lines += [_describe_action(action) for action in character.actions]
    lines += map(_describe_expression, character.expressions)
    lines += _describe_scene(scene)
    messages = [ChatMessage("system", "\n".join(lines))]
    for example in _possible(character, scene):
        messages += [ChatMessage("user", example.player), ChatMessage("assistant", example.npc)]
    return messages


def history_messages(history: Sequence[Exchange]) -> list[ChatMessage]:
    """What was said, an exchange two messages."""
    messages: list[ChatMessage] = []
    for exchange in history:
        said = clean(exchange.player, MAX_UTTERANCE) or ARRIVAL
        messages += [ChatMessage("user", said), ChatMessage("assistant", exchange.npc)]
    return messages


def build_prompt(
    character: Character,
    scene: Scene,
    history: Sequence[Exchange],
    passages: Sequence[Passage],
    utterance: str,
    outcomes: Sequence[Outcome] = (),
    notes: Sequence[str] = (),
) -> list[ChatMessage]:
    """The whole prompt. It begins with `stable_messages` and `history_messages`, unchanged.

    `notes` are further things that the character should know now, a sentence each.
    """
    lines = [f"(You know: {clean(passage.text, MAX_PASSAGE)})" for passage in passages]
    lines += map(tell_outcome, outcomes)
    lines += [f"({clean(note, MAX_PASSAGE)})" for note in notes]
    lines.append(clean(utterance, MAX_UTTERANCE))
    return [
        *stable_messages(character, scene),
        *history_messages(history),
        ChatMessage("user", "\n".join(lines)),
    ]


_MARKER = re.compile(r"<\|?/?[\w .:-]{1,40}\|?>|\[/?[A-Z_]{2,24}\]")
_BLANK = str.maketrans({"[": "(", "]": ")", "{": "(", "}": ")", "<": " ", ">": " ", "|": " ", "`": "'"})


def clean(text: str, max_length: int) -> str:
    """Text from outside, made harmless in a prompt: one line, no chat-template markers, no brackets of calls."""
    text = _MARKER.sub(" ", text).translate(_BLANK)
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return text if len(text) <= max_length else text[:max_length].rsplit(" ", 1)[0] + " …"


def _joined(items: Sequence[str]) -> str:
    return " ".join(item if item.endswith((".", "!", "?")) else f"{item}." for item in items)


def _describe_action(action: ActionSpec) -> str:
    """Nothing more than the call where its name says it all: `[stop()]`."""
    call = f"[{action.name}({', '.join(map(_describe_parameter, action.parameters))})]"
    words = set(re.findall(r"[a-z]+", action.description.lower()))
    is_plain = words <= {*action.name.split("_"), *(p.kind for p in action.parameters), *_SMALL_WORDS}
    return call if is_plain else f"{call} {action.description}"


def _describe_expression(expression: ActionSpec) -> str:
    """`Show a feeling: [feel(name=gruff|fond)]`. How strong is left unsaid: a small model has enough to choose."""
    needed = ", ".join(map(_describe_parameter, (p for p in expression.parameters if not p.is_optional)))
    return f"{expression.description.removesuffix('.')}: [{expression.name}({needed})]"


def _describe_parameter(parameter: Parameter) -> str:
    """`place`, `item=object`, `mood=glad|sad`; in round brackets where it may be left out."""
    kind = "|".join(parameter.choices) if parameter.kind == "enum" else parameter.kind
    told = parameter.name if parameter.name == kind else f"{parameter.name}={kind}"
    return f"({told})" if parameter.is_optional else told


def _describe_scene(scene: Scene) -> list[str]:
    for has_descriptions, n_each in ((True, 40), (False, 40), (False, 8)):
        lines = [f"Around you: {clean(scene.description, 400)}"] if scene.description else []
        for title, entities in (
            ("Places", scene.places),
            ("Objects", scene.objects),
            ("Characters", scene.characters),
        ):
            if entities:
                told = [_describe_entity(entity, has_descriptions) for entity in entities[:n_each]]
                lines.append(f"{title}: {'; '.join(told)}{' …' if len(entities) > n_each else ''}")
        if sum(map(len, lines)) <= MAX_SCENE:
            break
    return lines


def _describe_entity(entity: Entity, has_description: bool) -> str:
    name = re.sub(r"^(the|an?) ", "", clean(entity.spoken_name, 60))
    parts = [name] if name.lower() != entity.id.replace("_", " ").replace("-", " ").lower() else []
    if has_description and entity.description:
        parts.append(clean(entity.description, 120))
    return f"{entity.id} ({', '.join(parts)})" if parts else entity.id


def _possible(character: Character, scene: Scene) -> list[Example]:
    """Examples whose calls could be made in this scene: a wrong one would teach the model to invent."""

    def is_possible(example: Example) -> bool:
        actions = [action.unconditional for action in character.actions]
        parser = ReplyParser(actions, scene, expressions=character.expressions)
        return not any(isinstance(piece, Rejected) for piece in [*parser.push(example.npc), *parser.flush()])

    return [example for example in character.examples if is_possible(example)]


def tell_outcome(outcome: Outcome) -> str:
    """What became of an action, as the model is told it."""
    reason = f": {clean(outcome.reason, 200)}" if outcome.reason else ""
    became = "is done" if outcome.outcome == "done" else outcome.outcome
    return f"(Your {clean(outcome.rendered.strip('[]'), 300)} {became}{reason})"
