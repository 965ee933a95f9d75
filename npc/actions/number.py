"""Numbers between two bounds, as a grammar: a model cannot write one that is out of range.

Patterns are in the notation that Lark and GBNF share but for the slashes
around character classes (see `npc.actions.grammar`). Numbers are written
plainly: no leading zeros, no exponent, at most two decimals, no minus zero.
"""

from collections.abc import Iterator
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal


def number_pattern(minimum: float, maximum: float, is_integer: bool) -> str:
    """Every number from `minimum` to `maximum`, both included; "" when there is none."""
    scale = 1 if is_integer else 100
    low = int((Decimal(str(minimum)) * scale).to_integral_value(ROUND_CEILING))
    high = int((Decimal(str(maximum)) * scale).to_integral_value(ROUND_FLOOR))
    within = _integers if is_integer else _hundredths
    patterns = list(within(max(low, 0), high))
    patterns += [f'"-" {pattern}' for pattern in within(max(-high, 1), -low)]
    return " | ".join(patterns)


def _integers(low: int, high: int) -> Iterator[str]:
    """Decimal numerals of the natural numbers `low` to `high`."""
    while low <= high:
        top = min(high, 10 ** len(str(low)) - 1)  # numerals of one length at a time
        yield from _numerals(str(low), str(top))
        low = top + 1


def _numerals(low: str, high: str) -> Iterator[str]:
    """Strings of digits from `low` to `high`, which are equally long."""
    if not low:
        yield ""
    elif low[0] == high[0]:
        for rest in _numerals(low[1:], high[1:]):
            yield f'"{low[0]}" {rest}'.rstrip()
    else:
        first, last, n_rest = int(low[0]), int(high[0]), len(low) - 1
        if low[1:] != "0" * n_rest:
            yield from _numerals(low, low[0] + "9" * n_rest)
            first += 1
        is_cut = high[1:] != "9" * n_rest
        if is_cut:
            last -= 1
        if first <= last:
            yield f"/[{first}-{last}]/" + (f" /[0-9]/{{{n_rest}}}" if n_rest else "")
        if is_cut:
            yield from _numerals(high[0] + "0" * n_rest, high)


def _hundredths(low: int, high: int) -> Iterator[str]:
    """Numerals with up to two decimals of `low`/100 to `high`/100, neither negative."""
    if low > high:
        return
    first, last = -(-low // 100), (high - 99) // 100  # integers all of whose decimals are within
    for whole in _integers(first, last):
        yield f'{whole} ("." /[0-9]/{{1,2}})?'
    for edge in sorted({low // 100, high // 100}):
        if not first <= edge <= last:
            yield from _decimals(edge, max(low - edge * 100, 0), min(high - edge * 100, 99))


def _decimals(whole: int, low: int, high: int) -> Iterator[str]:
    """Numerals of `whole` with hundredths `low` to `high`."""
    if low == 0:
        yield f'"{whole}"'
    tenths = range(-(-low // 10), high // 10 + 1)
    if tenths:
        yield f'"{whole}." /[{tenths[0]}-{tenths[-1]}]/'
    for digits in _numerals(f"{low:02}", f"{high:02}"):
        yield f'"{whole}." {digits}'
