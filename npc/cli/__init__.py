"""The `npc` command: one file a subcommand. Heavy imports happen inside a command, so that --help is quick."""

import typer

from npc.cli import (
    chat,
    check,
    demo,
    eval_barge_in,
    eval_hearing,
    eval_turns,
    eval_voices,
    evaluate,
    profile_barge_in,
    profile_llm,
    profile_parts,
    profile_turns,
    quantize,
    schema,
    serve,
    talk,
    train,
)
from npc.cli.models import models_app
from npc.cli.profile import profile_app

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)
eval_app = typer.Typer(no_args_is_help=True, help="Judge the quality of a part of the engine.")

app.command()(demo.demo)
app.command()(serve.serve)
app.command()(talk.talk)
app.command()(chat.chat)
app.command()(check.check)
app.command()(schema.schema)
app.add_typer(models_app, name="models")
app.add_typer(profile_app, name="profile")
app.add_typer(eval_app, name="eval")
app.add_typer(train.app, name="train")
eval_app.command()(eval_hearing.hearing)
eval_app.command()(eval_voices.voices)
eval_app.command("waits")(eval_turns.turns)
eval_app.command()(eval_barge_in.barge_ins)
eval_app.command()(evaluate.run)
eval_app.command("compare")(evaluate.score_files)
eval_app.command()(evaluate.bfcl)
models_app.command()(quantize.quantize)
profile_app.command()(profile_turns.turns)
profile_app.command()(profile_barge_in.barge_in)
profile_app.command()(profile_llm.llm)
profile_app.command()(quantize.quantization)
profile_app.command()(profile_parts.actions)
profile_app.command()(profile_parts.face)
profile_app.command()(profile_parts.performance)
profile_app.command()(profile_parts.agreement)


@app.callback()
def callback() -> None:
    """Real-time conversational characters for games."""


def main() -> None:
    app()
