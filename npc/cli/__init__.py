"""The `npc` command: one file a subcommand. Heavy imports happen inside a command, so that --help is quick."""

import typer

from npc.cli.chat import chat
from npc.cli.check import check
from npc.cli.demo import demo
from npc.cli.eval_hearing import hearing
from npc.cli.eval_voices import voices
from npc.cli.models import models_app
from npc.cli.profile import profile_app
from npc.cli.schema import schema
from npc.cli.serve import serve
from npc.cli.talk import talk

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)
eval_app = typer.Typer(no_args_is_help=True, help="Judge the quality of a part of the engine.")

app.command()(demo)
app.command()(serve)
app.command()(talk)
app.command()(chat)
app.command()(check)
app.command()(schema)
app.add_typer(models_app, name="models")
app.add_typer(profile_app, name="profile")
app.add_typer(eval_app, name="eval")
eval_app.command()(hearing)
eval_app.command()(voices)


@app.callback()
def callback() -> None:
    """Real-time conversational characters for games."""


def main() -> None:
    app()
