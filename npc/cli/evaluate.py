"""`npc eval run`: how well a model plays its characters, on held-out cases or on a writer's own stories.

npc eval run                          the cases that ship, with their own characters
npc eval run --set unseen             those whose failures nobody reads: the stricter judge
npc eval run characters/smith         the stories in the character's tests.yaml; fails as tests do
npc eval run --cases my.jsonl --characters my-cast --backend openai --base-url http://127.0.0.1:8080/v1
"""

import asyncio
import contextlib
import json
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from npc.actions import ActionLibrary
    from npc.character import Character
    from npc.config import Settings
    from npc.evaluate.cases import Case, Prediction
    from npc.evaluate.respond import Respondent
    from npc.evaluate.score import Score
    from npc.models import ModelStore
    from npc.stages import LanguageModel


class HeldOut(StrEnum):
    """The sets of cases that ship; docs/model.md says why there are two."""

    KNOWN = "known"
    UNSEEN = "unseen"


Set = Annotated[HeldOut, typer.Option("--set", help="Which of the held-out sets, where no cases are named.")]


def run(
    character: Annotated[Path | None, typer.Argument(help="A character's folder: play the stories in it.")] = None,
    cases: Annotated[
        Path | None, typer.Option(help="A file of cases, or a folder of such. Default: those held out.")
    ] = None,
    characters: Annotated[Path | None, typer.Option(help="The folder of the cases' characters.")] = None,
    which: Set = HeldOut.KNOWN,
    out: Annotated[Path | None, typer.Option(help="Write predictions here, as JSON lines.")] = None,
    label: Annotated[str, typer.Option(help="What the table calls this model.")] = "",
    model: Annotated[str | None, typer.Option(help="A model's name, or a folder of one.")] = None,
    weights: Annotated[str | None, typer.Option(help="int4, int8 or bf16.")] = None,
    backend: Annotated[str | None, typer.Option(help="embedded or openai.")] = None,
    base_url: Annotated[str | None, typer.Option(help="Of an OpenAI-compatible endpoint.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="A random sample of so many cases; 0 is all.")] = 0,
    nominate: Annotated[bool, typer.Option(help="Whether plain requests must be acted on, as in a session.")] = True,
    temperature: Annotated[float, typer.Option(min=0, help="0 is greedy.")] = 0.0,
    penalty: Annotated[float, typer.Option(min=1, help="Of repetition; 1 is none.")] = 1.0,
    models: Annotated[Path | None, typer.Option(help="A folder of models to use as it is.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    show_failures: Annotated[bool, typer.Option("--failures", help="List what went wrong.")] = False,
) -> None:
    """How well a model plays its characters: actions, answers, abstention, staying in character."""
    from npc.config import load_settings
    from npc.errors import ConfigError, NpcError
    from npc.models import ModelStore

    llm = {"model": model, "weights": weights, "backend": backend, "base_url": base_url}
    try:
        if show_failures and cases is None and which is HeldOut.UNSEEN:
            raise ConfigError("the unseen set judges only while nobody reads its failures; --set known may be read")
        settings = load_settings(overrides={"llm": llm})
        store = ModelStore(models_dir=models)
        if character is not None:
            failed = asyncio.run(_play_stories(character, settings, store, nominate, temperature, penalty))
        else:
            failed = False
            asyncio.run(
                _run_cases(
                    cases,
                    characters,
                    which,
                    settings,
                    store,
                    out,
                    label,
                    limit,
                    nominate,
                    as_json,
                    show_failures,
                    temperature,
                    penalty,
                )
            )
    except NpcError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    if failed:
        raise typer.Exit(1)


def held_out(which: HeldOut = HeldOut.KNOWN) -> Path:
    """The folder of a set that ships: its `cases`, and the `characters` that they are about."""
    import npc.evaluate

    return Path(npc.evaluate.__path__[0]) / "data" / which


def score_files(
    predictions: Annotated[list[Path], typer.Argument(help="Files of predictions; each is a column.")],
    cases: Annotated[Path | None, typer.Option(help="The cases they answer; else those held out.")] = None,
    characters: Annotated[Path | None, typer.Option(help="The folder of the cases' characters.")] = None,
    which: Set = HeldOut.KNOWN,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Several models' predictions in one table."""
    from npc.errors import ConfigError, NpcError
    from npc.evaluate.cases import read_predictions

    try:
        asked, cast = material(cases, characters, which)
        scores = {}
        for file in predictions:
            made = read_predictions(file)
            answered = [case for case in asked if case.id in {p.id for p in made}]
            if not answered:
                raise ConfigError(f"{file}: answers none of these cases; --set or --cases says which it was made for")
            scores[file.stem] = _score(answered, made, cast)
    except NpcError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    _show(scores, as_json)


@contextlib.asynccontextmanager
async def open_model(settings: "Settings", store: "ModelStore") -> "AsyncIterator[LanguageModel]":
    """The language model of the settings: embedded, or an endpoint. A folder's path may stand for a model's name."""
    from npc.llm.openai import OpenAILanguageModel

    llm = settings.llm
    if llm.backend == "openai":
        remote = OpenAILanguageModel(llm)
        try:
            yield remote
        finally:
            await remote.close()
        return
    from npc.llm.embedded import EmbeddedLanguageModel

    folder, derived = _folders(llm.model, llm.weights, store)
    model = await asyncio.to_thread(EmbeddedLanguageModel.load, folder, derived, llm)
    try:
        yield model
    finally:
        model.close()


def _folders(model: str, weights: str, store: "ModelStore") -> tuple[Path, Path]:
    """Of a model, and of what is derived from it."""
    if Path(model).is_dir():
        return Path(model), Path(model) / "derived"
    return store.ensure(model), store.derived(model, weights)


@contextlib.asynccontextmanager
async def open_respondent(
    cast: "Sequence[Character]",
    settings: "Settings",
    store: "ModelStore",
    nominates: bool,
    temperature: float = 0.0,
    penalty: float = 1.0,
) -> "AsyncIterator[Respondent]":
    from npc.evaluate.respond import Respondent
    from npc.knowledge import Embedder, VectorStore

    name = settings.knowledge.model
    embedder = await asyncio.to_thread(Embedder.load, store.ensure(name))
    try:
        vectors = VectorStore(store.derived(name, "passages"), embedder)
        async with open_model(settings, store) as llm:
            reply_words = settings.llm.reply_words
            yield await Respondent.prepare(
                llm, cast, embedder, vectors, settings.knowledge, nominates, reply_words, temperature, penalty
            )
    finally:
        embedder.close()


def cast_of(folder: Path, library: "ActionLibrary | None" = None) -> "dict[str, Character]":
    """By id. Raises ConfigError, CharacterError."""
    from npc.character import load_character
    from npc.character.load import character_folders
    from npc.errors import ConfigError

    found = character_folders(folder)
    if not found:
        raise ConfigError(f"{folder}: holds no character; a folder with a character.yaml is wanted")
    return {character.id: character for character in (load_character(path, library) for path in found)}


def material(
    cases: Path | None, characters: Path | None, which: HeldOut = HeldOut.KNOWN
) -> "tuple[list[Case], dict[str, Character]]":
    """Cases and the characters that they ask; of a held-out set, where none are named. Raises ConfigError."""
    from npc.errors import ConfigError
    from npc.evaluate.cases import case_files, read_cases

    own = held_out(which)
    asked = [case for file in case_files(cases or own / "cases") for case in read_cases(file)]
    cast = cast_of(characters or own / "characters")
    for case in asked:
        if case.character not in cast:
            raise ConfigError(f"case {case.id}: there is no character '{case.character}'; have {', '.join(cast)}")
    return asked, cast


async def _run_cases(
    cases: Path | None,
    characters: Path | None,
    which: HeldOut,
    settings: "Settings",
    store: "ModelStore",
    out: Path | None,
    label: str,
    limit: int,
    nominates: bool,
    as_json: bool,
    show_failures: bool,
    temperature: float,
    penalty: float,
) -> None:
    from rich.console import Console
    from rich.progress import Progress

    from npc.evaluate.cases import write_lines

    asked, cast = material(cases, characters, which)
    if 0 < limit < len(asked):
        asked = sorted(random.Random(0).sample(asked, limit), key=asked.index)
    asked.sort(key=lambda case: case.character)  # one character's prompt is read once
    made: list[Prediction] = []
    async with open_respondent(list(cast.values()), settings, store, nominates, temperature, penalty) as respondent:
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("Answering", total=len(asked))
            async with contextlib.aclosing(respondent.respond_all(asked)) as predictions:
                async for prediction in predictions:
                    made.append(prediction)
                    progress.advance(task)
    if out is not None:
        write_lines(out, made)
    score = _score(asked, made, cast)
    name = f"{settings.llm.model} {settings.llm.weights}"
    if cases is None and which is HeldOut.UNSEEN:
        name += " unseen"
    _show({label or name: score}, as_json)
    if show_failures:
        _list_failures(asked, made, cast)


def _score(cases: "Sequence[Case]", made: "Sequence[Prediction]", cast: "dict[str, Character]") -> "Score":
    from npc.evaluate.score import judge, score

    by_id = {prediction.id: prediction for prediction in made}
    verdicts = [judge(case, by_id[case.id], cast[case.character]) for case in cases]
    return score(cases, verdicts)


def _show(scores: "dict[str, Score]", as_json: bool) -> None:
    from rich.console import Console

    from npc.evaluate.report import table

    if as_json:
        typer.echo(json.dumps({name: score.as_dict() for name, score in scores.items()}, indent=2))
    else:
        Console().print(table(scores))


def _list_failures(cases: "Sequence[Case]", made: "Sequence[Prediction]", cast: "dict[str, Character]") -> None:
    from npc.evaluate.score import judge

    by_id = {prediction.id: prediction for prediction in made}
    by_kind: dict[str, list[str]] = defaultdict(list)
    for case in cases:
        prediction = by_id[case.id]
        if not judge(case, prediction, cast[case.character]).passes:
            by_kind[case.kind].append(f"{case.id}: {case.utterance}\n    {prediction.written}")
    for kind, lines in by_kind.items():
        typer.echo(f"\n{kind}\n" + "\n".join(lines))


async def _play_stories(
    folder: Path, settings: "Settings", store: "ModelStore", nominates: bool, temperature: float, penalty: float
) -> bool:
    """Whether any story failed. Raises ConfigError where there are none."""
    from npc.errors import ConfigError
    from npc.evaluate.stories import SHEET, play, read_stories

    cast = list(cast_of(folder).values())
    stories = {character.id: read_stories(character) for character in cast}
    if not any(stories.values()):
        raise ConfigError(f"{folder}: no {SHEET} here; docs/characters.md says how one is written")
    n_failed = 0
    async with open_respondent(cast, settings, store, nominates, temperature, penalty) as respondent:
        for character in cast:
            async for story, failures in play(character, stories[character.id], respondent):
                typer.echo(f"{'failed' if failures else 'passed'}  {character.id}: {story.story}")
                for failure in failures:
                    typer.echo(f"    {failure.turn}. {failure.player}\n       {failure.reply}")
                    for reason in failure.reasons:
                        typer.echo(f"       {reason}")
                n_failed += bool(failures)
    return n_failed > 0


def bfcl(
    wheel: Annotated[Path, typer.Argument(help="The wheel of bfcl-eval; `pip download --no-deps bfcl-eval`.")],
    model: Annotated[str | None, typer.Option(help="A model's name, or a folder of one.")] = None,
    weights: Annotated[str | None, typer.Option(help="int4, int8 or bf16.")] = None,
    backend: Annotated[str | None, typer.Option(help="embedded or openai.")] = None,
    base_url: Annotated[str | None, typer.Option(help="Of an OpenAI-compatible endpoint.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="So many of each category, the first; 0 is all.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """The Berkeley Function Calling Leaderboard: simple, multiple, irrelevance, under the engine's grammar."""
    from npc.config import load_settings
    from npc.errors import NpcError
    from npc.evaluate.bfcl import CATEGORIES, PUBLISHED
    from npc.models import ModelStore

    llm = {"model": model, "weights": weights, "backend": backend, "base_url": base_url}
    try:
        settings = load_settings(overrides={"llm": llm})
        shares = {c: asyncio.run(_bfcl_share(wheel, c, limit, settings, ModelStore())) for c in CATEGORIES}
    except NpcError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    if as_json:
        typer.echo(json.dumps(shares, indent=2))
        return
    for category, share in shares.items():
        typer.echo(f"{category:15} {share:5.1f} %   (FunctionGemma 270M: {PUBLISHED[category]})")


async def _bfcl_share(wheel: Path, category: str, limit: int, settings: "Settings", store: "ModelStore") -> float:
    from npc.evaluate.bfcl import answer, is_right, read_questions

    questions = read_questions(wheel, category)[: limit or None]
    n_right = 0
    async with open_model(settings, store) as llm:
        for question in questions:
            n_right += is_right(question, await answer(question, llm))
    return round(100 * n_right / len(questions), 1)
