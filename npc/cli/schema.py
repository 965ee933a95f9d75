"""`npc schema`: the wire protocol as a JSON schema, from which clients in any language can be checked or generated."""

import json
import struct
from pathlib import Path
from typing import Annotated

import typer

FILE = Path(__file__).parents[2] / "clients" / "npc.v1.schema.json"
"""In a checkout of the repository."""


def schema(
    write: Annotated[bool, typer.Option("--write", help="Write it into clients/.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 when the file in clients/ is stale.")] = False,
) -> None:
    """Print the protocol's JSON schema."""
    text = render()
    if (write or check) and not FILE.parent.is_dir():
        typer.echo(f"{FILE.parent} is not there: --write and --check work in a checkout of the repository", err=True)
        raise typer.Exit(1)
    if write:
        FILE.write_text(text, encoding="utf-8")
        typer.echo(f"wrote {FILE}", err=True)
    elif check:
        if not FILE.is_file() or FILE.read_text(encoding="utf-8") != text:
            typer.echo(f"{FILE} is stale; run: npc schema --write", err=True)
            raise typer.Exit(1)
        typer.echo(f"{FILE} is up to date", err=True)
    else:
        typer.echo(text, nl=False)


def render() -> str:
    from npc.events import PROTOCOL, client_event, server_event
    from npc.frames import HEADER, HEADER_BYTES, LAST, MICROPHONE, REPLY

    client = client_event.json_schema(ref_template="#/$defs/{model}")
    server = server_event.json_schema(ref_template="#/$defs/{model}")
    definitions = client.pop("$defs") | server.pop("$defs")
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": PROTOCOL,
        "description": "Text frames of a conversation: an object of ClientEvent or ServerEvent. "
        "docs/protocol.md explains it; x-binary-frame describes the binary frames.",
        "anyOf": [{"$ref": "#/$defs/ClientEvent"}, {"$ref": "#/$defs/ServerEvent"}],
        "$defs": {"ClientEvent": client, "ServerEvent": server} | dict(sorted(definitions.items())),
        "x-binary-frame": {
            "byteOrder": "little-endian",
            "headerBytes": HEADER_BYTES,
            "header": [
                {"name": name, "bytes": struct.calcsize(code), "description": meaning} for name, code, meaning in HEADER
            ],
            "payload": "PCM, signed 16 bits, little-endian; a microphone's channels are interleaved, replies are mono",
            "kinds": {"microphone": MICROPHONE, "reply": REPLY},
            "flags": {"last": LAST},
        },
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
