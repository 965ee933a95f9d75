"""What numba's loops cannot say: products of 16-bit numbers, packed weights, and counters that threads share.

Each function here becomes LLVM instructions inside the loops of `fused.py`.
On x86 with AVX2 or AVX-512 the products are `vpmaddwd` (and, where there is
VNNI, one instruction with the sum); elsewhere LLVM makes them of what there is.
"""

import functools
import os
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm  # type: ignore[import-untyped]  # without stubs
from llvmlite import ir
from numba import types
from numba.extending import intrinsic as _numba_intrinsic
from numba.np.numpy_support import carray as carray

from npc.llm.layout import GROUP, INT4_BYTES, INT8_BYTES, LANES

_I16, _I32, _I64, _F32 = ir.IntType(16), ir.IntType(32), ir.IntType(64), ir.FloatType()
_PAIRS = ir.VectorType(_I16, 2 * LANES)
_SUMS = ir.VectorType(_I32, LANES)
_FLOATS = ir.VectorType(_F32, LANES)
_HALVES = ir.VectorType(ir.HalfType(), LANES)

Builder = Any  # llvmlite has no types
_pointer_to: Any = types.CPointer  # nor has this


def intrinsic(generator: Callable[..., Any]) -> Callable[..., Any]:
    """numba's, which says of its arguments what is true of the generator only."""
    made: Callable[..., Any] = _numba_intrinsic(generator)
    return made


@functools.cache
def _features() -> frozenset[str]:
    return frozenset(name for name, has in llvm.get_host_cpu_features().items() if has)


def _pointer(builder: Builder, address: Any, offset: Any, kind: Any) -> Any:
    return builder.inttoptr(builder.add(address, offset), kind.as_pointer())


def _load(builder: Builder, address: Any, offset: Any, kind: Any, align: int) -> Any:
    return builder.load(_pointer(builder, address, offset, kind), align=align)


def _splat(builder: Builder, value: Any, kind: Any) -> Any:
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(_I32, 0))
    zeros = ir.Constant(ir.VectorType(_I32, kind.count), [0] * kind.count)
    return builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), zeros)


def _intrinsic(builder: Builder, name: str, result: Any, *arguments: Any) -> Any:
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    module = builder.module
    function = module.globals.get(name) or ir.Function(module, kind, name)
    return builder.call(function, arguments)


def _add_products(builder: Builder, sums: Any, a: Any, b: Any) -> Any:
    """sums [16] int32 + the products of neighbours in a and b [32] int16, added two by two."""
    if "avx512bw" in _features():
        return builder.add(sums, _intrinsic(builder, "llvm.x86.avx512.pmaddw.d.512", _SUMS, a, b))
    undefined = ir.Constant(_PAIRS, ir.Undefined)

    def pick(x: Any, indices: Any) -> Any:
        return builder.shuffle_vector(x, undefined, ir.Constant(ir.VectorType(_I32, LANES), list(indices)))

    if "avx2" in _features():
        four = ir.VectorType(_I32, LANES // 2)
        parts = [
            _intrinsic(builder, "llvm.x86.avx2.pmadd.wd", four, pick(a, indices), pick(b, indices))
            for indices in (range(LANES), range(LANES, 2 * LANES))
        ]
        order = ir.Constant(ir.VectorType(_I32, LANES), list(range(LANES)))
        return builder.add(sums, builder.shuffle_vector(*parts, order))
    for offset in (0, 1):
        wide = [builder.sext(pick(x, range(offset, 2 * LANES, 2)), _SUMS) for x in (a, b)]
        sums = builder.add(sums, builder.mul(*wide))
    return sums


def _unpack(builder: Builder, packed: Any, n_bits: int) -> list[Any]:
    """[32] int16, each of several small numbers → as many vectors [32] int16."""

    def constant(value: int) -> Any:
        return ir.Constant(_PAIRS, [value] * 2 * LANES)

    if n_bits == 4:
        return [
            builder.and_(builder.lshr(packed, constant(shift)) if shift else packed, constant(15))
            if shift < 12
            else builder.lshr(packed, constant(12))
            for shift in (0, 4, 8, 12)
        ]
    return [builder.ashr(builder.shl(packed, constant(8)), constant(8)), builder.ashr(packed, constant(8))]


def _tile(n_bits: int, n_rows: int) -> Callable[..., None]:
    """`LANES` outputs of `n_rows` inputs, as a function for numba: see `tiles`."""

    @intrinsic
    def tile(
        typing: Any,
        weights: Any,
        x: Any,
        x_stride: Any,
        scales: Any,
        s_stride: Any,
        out: Any,
        o_stride: Any,
        n_groups: Any,
    ) -> Any:
        def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
            weights, x, x_stride, scales, s_stride, out, o_stride, n_groups = arguments
            const = _I64
            size = INT4_BYTES if n_bits == 4 else INT8_BYTES
            loop = _Loop(builder, n_groups, [ir.Constant(_FLOATS, [0.0] * LANES)] * n_rows)
            group, sums = loop.index, loop.totals
            at = builder.add(weights, builder.mul(group, const(size)))
            x_at = builder.add(x, builder.mul(group, const(2 * GROUP)))
            s_at = builder.add(scales, builder.mul(group, const(8)))
            n_chains = max(1, 4 // n_rows)
            chains = [[ir.Constant(_SUMS, [0] * LANES)] * n_chains for _ in range(n_rows)]
            n_each = 16 // n_bits
            first = 4 * LANES if n_bits == 4 else 0
            for n in range(GROUP // (2 * n_each)):
                packed = _load(builder, at, const(first + 4 * LANES * n), _PAIRS, 64)
                for m, levels in enumerate(_unpack(builder, packed, n_bits)):
                    pair = n_each * n + m
                    for row in range(n_rows):
                        offset = builder.add(builder.mul(x_stride, const(row)), const(4 * pair))
                        both = _load(builder, x_at, offset, _I32, 4)
                        own = builder.bitcast(_splat(builder, both, _SUMS), _PAIRS)
                        chain = chains[row]
                        chain[pair % n_chains] = _add_products(builder, chain[pair % n_chains], levels, own)
            if n_bits == 4:
                scale = builder.fpext(_load(builder, at, const(0), _HALVES, 64), _FLOATS)
                low = builder.fpext(_load(builder, at, const(2 * LANES), _HALVES, 32), _FLOATS)
            for row in range(n_rows):
                total = functools.reduce(builder.add, chains[row])
                offset = builder.mul(s_stride, const(row))
                x_scale = _splat(builder, _load(builder, s_at, offset, _F32, 4), _FLOATS)
                if n_bits == 4:
                    x_scale = builder.fmul(x_scale, scale)
                new = _fma(builder, builder.sitofp(total, _FLOATS), x_scale, sums[row])
                if n_bits == 4:
                    x_sum = _load(builder, s_at, builder.add(offset, const(4)), _F32, 4)
                    new = _fma(builder, _splat(builder, x_sum, _FLOATS), low, new)
                loop.following.append(new)
            loop.end()
            for row, new in enumerate(loop.following):
                builder.store(new, _pointer(builder, out, builder.mul(o_stride, const(row)), _FLOATS), align=4)
            return context.get_dummy_value()

        return types.void(*[types.intp] * 8), generate

    return tile


def tiles(n_bits: int) -> tuple[Callable[..., None], ...]:
    """Functions for 1, 2, 4 and 8 rows, `(weights, x, x_stride, scales, s_stride, out, o_stride, n_groups)`.

    All are addresses and bytes. Weights: a record a group (`INT4_BYTES` or `INT8_BYTES`). x: rows in int16; scales: a
    scale and a sum in float32 for each group of each row; out: `LANES` float32 of each row.
    """
    return tuple(_tile(n_bits, n_rows) for n_rows in (1, 2, 4, 8))


def panels(n_rows: int) -> Callable[..., None]:
    """`LANES` columns of a product in float32, `(a, a_stride, a_step, b, b_stride, out, o_stride, n)`.

    All are addresses and bytes. a: [n_rows, n], its rows `a_stride` apart and its columns `a_step`; b: [n, LANES]; out:
    [n_rows, LANES].
    """

    @intrinsic
    def panel(
        typing: Any, a: Any, a_stride: Any, a_step: Any, b: Any, b_stride: Any, out: Any, o_stride: Any, n: Any
    ) -> Any:
        def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
            a, a_stride, a_step, b, b_stride, out, o_stride, n = arguments
            loop = _Loop(builder, n, [ir.Constant(_FLOATS, [0.0] * LANES)] * n_rows)
            b_row = _load(builder, b, builder.mul(loop.index, b_stride), _FLOATS, 4)
            a_at = builder.add(a, builder.mul(loop.index, a_step))
            for row, total in enumerate(loop.totals):
                own = _splat(builder, _load(builder, a_at, builder.mul(a_stride, _I64(row)), _F32, 4), _FLOATS)
                loop.following.append(_fma(builder, own, b_row, total))
            loop.end()
            for row, new in enumerate(loop.following):
                builder.store(new, _pointer(builder, out, builder.mul(o_stride, _I64(row)), _FLOATS), align=4)
            return context.get_dummy_value()

        return types.void(*[types.intp] * 8), generate

    return panel


@intrinsic
def dot(typing: Any, a: Any, bits: Any, n: Any) -> Any:
    """The product of `n` float32 and `n` bfloat16, whole vectors of both, by their addresses."""

    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        a, bits, n = arguments
        loop = _Loop(builder, builder.udiv(n, _I64(LANES)), [ir.Constant(_FLOATS, [0.0] * LANES)])
        own = _load(builder, a, builder.mul(loop.index, _I64(4 * LANES)), _FLOATS, 4)
        other = _widened(builder, bits, builder.mul(loop.index, _I64(2 * LANES)))
        loop.following.append(_fma(builder, own, other, loop.totals[0]))
        loop.end()
        total = loop.following[0]
        for width in (8, 4, 2, 1):
            indices = [*range(width, 2 * width), *range(width), *range(2 * width, LANES)]
            order = ir.Constant(ir.VectorType(_I32, LANES), indices)
            total = builder.fadd(total, builder.shuffle_vector(total, ir.Constant(_FLOATS, ir.Undefined), order))
        return builder.extract_element(total, _I32(0))

    return types.float32(types.intp, types.intp, types.intp), generate


def blends(n_vectors: int) -> Callable[..., None]:
    """Add up weighted rows, `(out, weights, bits, stride, n)`: addresses, and bytes from row to row.

    out: [n_vectors · LANES] float32, added to; weights: [n] float32; bits: [n, n_vectors · LANES] bfloat16.
    """

    @intrinsic
    def blend(typing: Any, out: Any, weights: Any, bits: Any, stride: Any, n: Any) -> Any:
        def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
            out, weights, bits, stride, n = arguments
            offsets = [_I64(4 * LANES * index) for index in range(n_vectors)]
            loop = _Loop(builder, n, [_load(builder, out, offset, _FLOATS, 4) for offset in offsets])
            weight = _splat(builder, _load(builder, weights, builder.mul(loop.index, _I64(4)), _F32, 4), _FLOATS)
            row = builder.mul(loop.index, stride)
            for index, total in enumerate(loop.totals):
                value = _widened(builder, bits, builder.add(row, _I64(2 * LANES * index)))
                loop.following.append(_fma(builder, weight, value, total))
            loop.end()
            for offset, new in zip(offsets, loop.following, strict=True):
                builder.store(new, _pointer(builder, out, offset, _FLOATS), align=4)
            return context.get_dummy_value()

        return types.void(*[types.intp] * 5), generate

    return blend


def _fma(builder: Builder, a: Any, b: Any, c: Any) -> Any:
    return _intrinsic(builder, "llvm.fma.v16f32", _FLOATS, a, b, c)


def _widened(builder: Builder, bits: Any, offset: Any) -> Any:
    """[LANES] bfloat16 as float32."""
    words = builder.zext(_load(builder, bits, offset, ir.VectorType(_I16, LANES), 2), _SUMS)
    return builder.bitcast(builder.shl(words, ir.Constant(_SUMS, [16] * LANES)), _FLOATS)


class _Loop:
    """`n` rounds, at least one, that sum up into vectors."""

    def __init__(self, builder: Builder, n: Any, initial: list[Any]) -> None:
        self._builder, self._n = builder, n
        before = builder.block
        self._body, self._after = builder.append_basic_block("body"), builder.append_basic_block("after")
        builder.branch(self._body)
        builder.position_at_end(self._body)
        self.index = builder.phi(_I64)
        self.index.add_incoming(_I64(0), before)
        self.totals = [builder.phi(_FLOATS) for _ in initial]
        self.following: list[Any] = []
        """The totals after a round, to be filled in."""
        for total, first in zip(self.totals, initial, strict=True):
            total.add_incoming(first, before)

    def end(self) -> None:
        builder = self._builder
        index = builder.add(self.index, _I64(1))
        self.index.add_incoming(index, self._body)
        for total, new in zip(self.totals, self.following, strict=True):
            total.add_incoming(new, self._body)
        builder.cbranch(builder.icmp_signed("<", index, self._n), self._body, self._after)
        builder.position_at_end(self._after)


def _at(kind: Any) -> Callable[[int], Any]:
    @intrinsic
    def at(typing: Any, address: Any) -> Any:
        def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return _pointer_to(kind)(types.intp), generate

    return at


floats_at = _at(types.float32)
"""A pointer from an address, for `numba.carray`."""
halves_at = _at(types.uint16)


@intrinsic
def fetch_add(typing: Any, address: Any, n: Any) -> Any:
    """Add `n` to the int64 at `address`, for all threads; what it was before."""

    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        at = builder.inttoptr(arguments[0], _I64.as_pointer())
        return builder.atomic_rmw("add", at, arguments[1], "acq_rel")

    return types.intp(types.intp, types.intp), generate


@intrinsic
def peek(typing: Any, address: Any) -> Any:
    """The int64 at `address`, and all that was written before it was."""

    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        return builder.load_atomic(builder.inttoptr(arguments[0], _I64.as_pointer()), "acquire", 8)

    return types.intp(types.intp), generate


@intrinsic
def pause(typing: Any) -> Any:
    """Let the other thread of this core go first."""

    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        if "sse2" in _features():
            _intrinsic(builder, "llvm.x86.sse2.pause", ir.VoidType())
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def give_way(typing: Any) -> Any:
    """Let another thread have this core, if one waits for it."""

    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        if os.name == "posix":
            kind = ir.FunctionType(_I32, [])
            function = builder.module.globals.get("sched_yield") or ir.Function(builder.module, kind, "sched_yield")
            builder.call(function, [])
        return context.get_dummy_value()

    return types.void(), generate
