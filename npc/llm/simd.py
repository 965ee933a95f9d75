"""What numba's loops cannot say: products of 8-bit numbers, packed weights, and counters that threads share.

Each function here becomes LLVM instructions inside the loops of `fused.py`.
On x86 with VNNI four products and their sum are one instruction, `vpdpbusd`;
with AVX2 or AVX-512 alone they are `vpmaddwd` on 16 bits; elsewhere LLVM makes
them of what there is.
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

_AHEAD = 6144
"""Bytes: with three rows or more a thread computes for long enough on a page that the next one's must be asked for."""

_I16, _I32, _I64, _F32 = ir.IntType(16), ir.IntType(32), ir.IntType(64), ir.FloatType()
_PAIRS = ir.VectorType(_I16, 2 * LANES)
_SUMS = ir.VectorType(_I32, LANES)
_BYTES = ir.VectorType(ir.IntType(8), 4 * LANES)
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


def _add_products(builder: Builder, sums: Any, levels: Any, x: Any) -> Any:
    """sums [16] int32 + the products of four neighbours in levels [64] uint8 and x [64] int8, added."""
    has = _features()
    if {"avx512f", "avx512vnni"} <= has:
        return _dot4(builder, 512, sums, levels, x)
    eights = ir.VectorType(_I32, LANES // 2)

    def half(vector: Any, first: int, unit: int) -> Any:
        kind = vector.type
        order = ir.Constant(ir.VectorType(_I32, unit), list(range(first, first + unit)))
        return builder.shuffle_vector(vector, ir.Constant(kind, ir.Undefined), order)

    if "avxvnni" in has:
        parts = [
            _dot4(builder, 256, half(sums, 8 * n, 8), half(levels, 32 * n, 32), half(x, 32 * n, 32)) for n in (0, 1)
        ]
        order = ir.Constant(ir.VectorType(_I32, LANES), list(range(LANES)))
        return builder.shuffle_vector(*parts, order)
    # In 16 bits: the bytes at even places, then those at odd ones.
    levels, x = (builder.bitcast(vector, _PAIRS) for vector in (levels, x))
    eight = ir.Constant(_PAIRS, [8] * 2 * LANES)
    evens = builder.and_(levels, ir.Constant(_PAIRS, [255] * 2 * LANES)), builder.ashr(builder.shl(x, eight), eight)
    odds = builder.lshr(levels, eight), builder.ashr(x, eight)
    for a, b in (evens, odds):
        if "avx512bw" in has:
            products = _intrinsic(builder, "llvm.x86.avx512.pmaddw.d.512", _SUMS, a, b)
        elif "avx2" in has:
            parts = [
                _intrinsic(builder, "llvm.x86.avx2.pmadd.wd", eights, half(a, 16 * n, 16), half(b, 16 * n, 16))
                for n in (0, 1)
            ]
            order = ir.Constant(ir.VectorType(_I32, LANES), list(range(LANES)))
            products = builder.shuffle_vector(*parts, order)
        else:
            products = _neighbours_added(builder, a, b)
        sums = builder.add(sums, products)
    return sums


def _dot4(builder: Builder, n_bits: int, sums: Any, levels: Any, x: Any) -> Any:
    """`vpdpbusd`, whose arguments LLVM 22 sees as bytes and those before it as numbers of 32 bits."""
    if llvm.llvm_version_info < (22,):
        levels, x = (builder.bitcast(vector, sums.type) for vector in (levels, x))
    return _intrinsic(builder, f"llvm.x86.avx512.vpdpbusd.{n_bits}", sums.type, sums, levels, x)


def _neighbours_added(builder: Builder, a: Any, b: Any) -> Any:
    """[32] int16 each → [16] int32: a₀b₀ + a₁b₁, …"""
    undefined = ir.Constant(_PAIRS, ir.Undefined)
    products = []
    for offset in (0, 1):
        order = ir.Constant(ir.VectorType(_I32, LANES), list(range(offset, 2 * LANES, 2)))
        wide = [builder.sext(builder.shuffle_vector(each, undefined, order), _SUMS) for each in (a, b)]
        products.append(builder.mul(*wide))
    return builder.add(*products)


def _unpack(builder: Builder, packed: Any, n_bits: int) -> list[Any]:
    """[16] int32, bytes or pairs of four bits → vectors [64] uint8."""
    if n_bits == 8:
        return [builder.bitcast(packed, _BYTES)]
    low = ir.Constant(_SUMS, [0x0F0F0F0F] * LANES)
    shifted = builder.lshr(packed, ir.Constant(_SUMS, [4] * LANES))
    return [builder.bitcast(builder.and_(each, low), _BYTES) for each in (packed, shifted)]


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
            x_at = builder.add(x, builder.mul(group, const(GROUP)))
            s_at = builder.add(scales, builder.mul(group, const(8)))
            for line in range(0, size if n_rows > 2 else 0, 64):
                _prefetch(builder, builder.add(at, const(_AHEAD + line)))
            n_chains = max(1, 4 // n_rows)
            chains = [[ir.Constant(_SUMS, [0] * LANES)] * n_chains for _ in range(n_rows)]
            n_each = 8 // n_bits
            first = 4 * LANES if n_bits == 4 else 0
            for n in range(GROUP // (4 * n_each)):
                packed = _load(builder, at, const(first + 4 * LANES * n), _SUMS, 64)
                for m, levels in enumerate(_unpack(builder, packed, n_bits)):
                    four = n_each * n + m
                    for row in range(n_rows):
                        offset = builder.add(builder.mul(x_stride, const(row)), const(4 * four))
                        own = builder.bitcast(_splat(builder, _load(builder, x_at, offset, _I32, 4), _SUMS), _BYTES)
                        chain = chains[row]
                        chain[four % n_chains] = _add_products(builder, chain[four % n_chains], levels, own)
            if n_bits == 4:
                scale = builder.fpext(_load(builder, at, const(0), _HALVES, 64), _FLOATS)
                low = builder.fpext(_load(builder, at, const(2 * LANES), _HALVES, 32), _FLOATS)
            else:  # bytes are stored as what they are more than -128
                low = ir.Constant(_FLOATS, [-128.0] * LANES)
            for row in range(n_rows):
                total = functools.reduce(builder.add, chains[row])
                offset = builder.mul(s_stride, const(row))
                x_scale = _splat(builder, _load(builder, s_at, offset, _F32, 4), _FLOATS)
                if n_bits == 4:
                    x_scale = builder.fmul(x_scale, scale)
                new = _fma(builder, builder.sitofp(total, _FLOATS), x_scale, sums[row])
                x_sum = _splat(builder, _load(builder, s_at, builder.add(offset, const(4)), _F32, 4), _FLOATS)
                new = _fma(builder, x_sum, low, new)
                loop.following.append(new)
            loop.end()
            for row, new in enumerate(loop.following):
                builder.store(new, _pointer(builder, out, builder.mul(o_stride, const(row)), _FLOATS), align=4)
            return context.get_dummy_value()

        return types.void(*[types.intp] * 8), generate

    return tile


def _prefetch(builder: Builder, address: Any) -> None:
    at = builder.inttoptr(address, ir.IntType(8).as_pointer())
    _intrinsic(builder, "llvm.prefetch.p0", ir.VoidType(), at, _I32(0), _I32(3), _I32(1))


def tiles(n_bits: int) -> tuple[Callable[..., None], ...]:
    """Functions for 1, 2, 3, 4 and 8 rows, `(weights, x, x_stride, scales, s_stride, out, o_stride, n_groups)`.

    All are addresses and bytes. Weights: a record a group (`INT4_BYTES` or `INT8_BYTES`). x: rows in int8; scales: a
    scale and a sum in float32 for each group of each row; out: `LANES` float32 of each row.
    """
    return tuple(_tile(n_bits, n_rows) for n_rows in (1, 2, 3, 4, 8))


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


def _fma(builder: Builder, a: Any, b: Any, c: Any) -> Any:
    return _intrinsic(builder, "llvm.fma.v16f32", _FLOATS, a, b, c)


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
