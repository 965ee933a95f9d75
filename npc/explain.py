"""What pydantic found wrong with data from outside, as one line for the programmer who sent it."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

MAX_SHOWN = 3
"""Mistakes named in one message."""


def explain(error: ValidationError, model: type[BaseModel], n_skipped: int = 0) -> str:
    """Each mistake: which field of `model`, what was found, what would be right.

    `n_skipped` leading parts of each place are left out (a union's tag).
    """
    mistakes = error.errors(include_url=False)
    told = [_sentence(mistake, model, n_skipped) for mistake in mistakes[:MAX_SHOWN]]
    if len(mistakes) > MAX_SHOWN:
        told.append(f"and {len(mistakes) - MAX_SHOWN} more")
    return "; ".join(told)


def shown(value: object) -> str:
    """`value` as far as it fits a message."""
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def nearest_first(found: str, known: Iterable[str]) -> str:
    """`known`, with what may have been meant by `found` in front."""
    names = sorted(known)
    near = get_close_matches(found, names, n=3, cutoff=0.5)
    return ", ".join([*near, *(name for name in names if name not in near)])


def _sentence(mistake: ErrorDetails, model: type[BaseModel], n_skipped: int) -> str:
    loc = mistake["loc"][n_skipped:]
    path = ".".join(str(part) for part in loc)
    context = mistake.get("ctx", {})
    match mistake["type"]:
        case "missing":
            return f"'{path}' is missing"
        case "extra_forbidden":
            holder = _model_at(model, loc[:-1])
            known = f"; known fields are {nearest_first(str(loc[-1]), holder.model_fields)}" if holder else ""
            return f"'{path}' is not a field{known}"
        case "literal_error":
            return f"'{path}' is {shown(mistake['input'])}; use {context['expected']}"
        case "value_error":
            return f"'{path}': {context['error']}" if path else str(context["error"])
        case _:
            rule = re.sub(r"^\w+ should ", "it should ", mistake["msg"])  # "Input should be…", "String should have…"
            return f"'{path}' is {shown(mistake['input'])}; {rule}"


def _model_at(model: type[BaseModel] | None, path: tuple[int | str, ...]) -> type[BaseModel] | None:
    """The model that the field under `path` holds, where it is plainly one."""
    for part in path:
        field = model.model_fields.get(str(part)) if model is not None else None
        annotation = field.annotation if field is not None else None
        model = annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
    return model
