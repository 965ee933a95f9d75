"""The `npc` command: one file a subcommand. Heavy imports happen inside a command, so that --help is quick."""

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def callback() -> None:
    """Real-time conversational characters for games."""


def main() -> None:
    app()
