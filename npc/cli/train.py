"""`npc train`: data from the authored worlds, a tuned model from data, a drafter from the tuned model.

npc train data --out build/examples.jsonl --examples 1000     look at what a model would learn
npc train mishear --utterances 3000                           hear what the recogniser makes of speech
npc train heard --out build/heard.jsonl                       the held-out requests, as it hears them
npc train run npc-135m --out build/npc-135m                   tune, export, write the card; goes on if interrupted
npc train run npc-135m-draft --tuned build/npc-135m/merged --out build/draft
npc train run npc-135m-phrases --out build/phrases            the table that drafts its replies
npc train merge ADAPTER --out build/merged                    base + adapter as a folder that the engine loads
"""

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from npc.cli.evaluate import HeldOut, Set, material

if TYPE_CHECKING:
    from npc.train.generate import ChatExample

app = typer.Typer(no_args_is_help=True, help="Make a model that plays characters: data, tuning, export.")


@app.command()
def data(
    out: Annotated[Path, typer.Option(help="The file to write, a JSON object a line.")],
    examples: Annotated[int, typer.Option(min=1)] = 1000,
    seed: int = 0,
    corpus: Annotated[Path | None, typer.Option(help="A folder of authored data. Default: what ships.")] = None,
    processes: Annotated[int, typer.Option(min=1, help="How many work at once.")] = 1,
) -> None:
    """Write training examples, and say what they are made of."""
    from npc.errors import NpcError
    from npc.train.corpus import DATA, load_corpus
    from npc.train.generate import write_examples

    folder = corpus or DATA
    try:
        counts = load_corpus(folder).counts()
        kinds = write_examples(out, iter(make_examples(folder, examples, seed, processes)))
    except NpcError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    typer.echo(json.dumps({"corpus": counts, "examples": examples, "kinds": kinds}, indent=2))


def make_examples(folder: Path, n: int, seed: int, processes: int) -> "list[ChatExample]":
    """Numbers 0 to n of a seed, whatever the number of processes."""
    from npc.train.factory import Factory

    return Factory(folder, seed).examples(n, processes)


@app.command()
def run(
    recipe: Annotated[Path, typer.Argument(help="A recipe's file, or the name of one that ships.")],
    out: Annotated[Path, typer.Option(help="The run's folder; started again, the run goes on.")],
    device: Annotated[str, typer.Option(help="cuda, cpu or mps. Default: what there is.")] = "",
    steps: Annotated[int | None, typer.Option(help="Stop after so many steps.")] = None,
    examples: Annotated[int | None, typer.Option(help="Instead of the recipe's number.")] = None,
    tuned: Annotated[Path | None, typer.Option(help="The tuned model's folder, for a drafter.")] = None,
    corpus: Annotated[Path | None, typer.Option(help="A folder of authored data. Default: what ships.")] = None,
    base: Annotated[Path | None, typer.Option(help="The base's folder, instead of the recipe's name.")] = None,
    adapter: Annotated[Path | None, typer.Option(help="Go on from this one, with a recipe of its rank.")] = None,
    models: Annotated[Path | None, typer.Option(help="A folder of models to use as it is.")] = None,
    processes: Annotated[int | None, typer.Option(min=1, help="That make examples. Default: one a core.")] = None,
    within: Annotated[
        int | None, typer.Option(help="Seconds from now in which all of it must be done, data and export too.")
    ] = None,
) -> None:
    """Tune a model as a recipe says, and export what ships."""
    began_s = time.monotonic()  # importing torch takes its time, too
    import logging

    from npc.errors import NpcError
    from npc.models import ModelStore
    from npc.train.corpus import DATA
    from npc.train.job import Job
    from npc.train.recipe import read_recipe

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        read = read_recipe(recipe)
        if examples is not None:
            read = read.model_copy(update={"examples": examples})
        Job(
            read,
            out,
            typer.echo,
            device=device,
            steps=steps,
            tuned=tuned,
            corpus=corpus or DATA,
            base=base,
            adapter=adapter,
            store=ModelStore(models_dir=models),
            n_processes=processes or os.cpu_count() or 1,
            within_s=within,
            began_s=began_s,
        ).run()
    except NpcError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


@app.command()
def merge(
    adapter: Annotated[Path, typer.Argument(help="The adapter's folder.")],
    out: Annotated[Path, typer.Option(help="The folder to write.")],
    base: Annotated[str, typer.Option(help="A model's name, or a folder of one.")] = "smollm2-135m-instruct",
) -> None:
    """Write base and adapter as one folder, which `--model` takes everywhere."""
    from npc.errors import NpcError
    from npc.models import ModelStore
    from npc.models.adapter import merge as put_together

    try:
        put_together(Path(base) if Path(base).is_dir() else ModelStore().ensure(base), adapter, out)
    except NpcError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


@app.command()
def mishear(
    out: Annotated[
        Path | None, typer.Option(help="The folder of heard.tsv and sounds.json. Default: what ships.")
    ] = None,
    utterances: Annotated[int, typer.Option(min=1, help="How many to speak.")] = 3000,
    seed: int = 7,
) -> None:
    """Speak authored utterances to the recogniser; keep what it made of them, and which words sound alike."""
    from npc.errors import NpcError
    from npc.train.corpus import DATA
    from npc.train.listen import pairs_heard, spoken_words
    from npc.train.sounds import made_for, write_sounds

    folder = out or DATA
    try:
        pairs = [(spoken, heard) for spoken, heard in pairs_heard(utterances, seed) if heard and spoken != heard]
        write_sounds(folder / "sounds.json", made_for(spoken_words()))
    except NpcError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    lines = "".join(f"{spoken}\t{heard}\n" for spoken, heard in pairs)
    (folder / "heard.tsv").write_text(lines, encoding="utf-8")
    typer.echo(f"{len(pairs)} of {utterances} utterances were heard as something else")


@app.command()
def heard(
    out: Annotated[
        Path, typer.Option(help="The file of cases to write; a person then takes out what nobody could tell.")
    ],
    cases: Annotated[Path | None, typer.Option(help="A file of cases, or a folder. Default: those held out.")] = None,
    characters: Annotated[Path | None, typer.Option(help="The folder of the characters that they ask.")] = None,
    which: Set = HeldOut.KNOWN,
    seed: int = 5,
) -> None:
    """Speak the clean requests of an evaluation to the recogniser: its cases of kind "heard"."""
    from npc.errors import NpcError
    from npc.evaluate.cases import write_lines
    from npc.train.listen import heard_cases

    try:
        write_lines(out, heard_cases(*material(cases, characters, which), seed))
    except NpcError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
