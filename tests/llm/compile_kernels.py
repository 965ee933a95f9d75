"""Compiles the kernels for a Hopper device, as they are launched for models of known shapes; none is needed for it.

Run by test_gpu_compile.py in a process of its own: in one that interprets Triton, nothing is compiled.
"""

import sys
from types import SimpleNamespace

import triton
from triton import language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from npc.llm.architecture import Architecture
from npc.llm.gpu import choosing, kernels, looking
from npc.llm.gpu import product as products
from npc.llm.gpu.step import Field
from npc.llm.gpu.tuning import candidates
from npc.profile.random_model import SHAPES

HOPPER = GPUTarget("cuda", 90, 32)
WEIGHTS = {"dense": "*bf16", "int8": "*i8", "int4": "*i32"}
SCALES = {"dense": "*bf16", "int8": "*fp32", "int4": "*i32"}


def build(function, types: dict[str, str], n_warps: int = 4, **constants: object) -> None:  # a function of Triton
    names = function.arg_names
    signature = {name: "constexpr" if name in constants else types.get(name, "i32") for name in names}
    aligned = {(at,): [["tt.divisibility", 16]] for at, name in enumerate(names) if signature[name].startswith("*")}
    given = {(names.index(name),): value for name, value in constants.items()}
    made = triton.compile(ASTSource(function, signature, given, aligned), HOPPER, {"num_warps": n_warps})
    assert made.asm["cubin"], function
    assert made.metadata.shared <= 227 * 1024, "more shared memory than a block may have"


def build_product(kind: str, n_out: int, n_in: int, n: int, mode: int, is_normed: bool, every: bool) -> int:
    linear = SimpleNamespace(kind=kind, n_out=n_out, n_in=n_in)
    some = list(candidates(linear, n)) if every else [kernels.default_blocks(kind, n_out, n_in, kernels.padded(n))]
    columns = n_out // 2 if mode == products.GATE else n_out
    is_normed = is_normed and n == 1
    out = "*fp32" if mode == products.ADD else "*bf16"
    types = {"x": "*fp32" if is_normed else "*bf16", "norm": "*fp32", "floor": "fp32", "bias": "*bf16", "out": out}
    for blocks in some:
        build(
            products.product,
            types | {"weights": WEIGHTS[kind], "scales": SCALES[kind]},
            blocks.n_warps,
            KIND=kernels._KINDS[kind],
            MODE=mode,
            NORMED=is_normed,
            BIASED=False,
            BM=kernels.padded(n),
            BN=blocks.n_out,
            BK=blocks.n_in,
            STAGES=blocks.n_stages,
            EVEN=n_in % blocks.n_in == 0 and columns % blocks.n_out == 0,
            UNITS=tl.bfloat16,
        )
    return len(some)


def build_all(shape: str, kinds: list[str], every: bool) -> int:
    arch = Architecture.from_config(SHAPES[shape])
    hidden, inner, n_built = arch.hidden_size, arch.intermediate_size, 0
    for kind in kinds:
        for n in (1, 5, 64):
            for n_out, n_in, mode, is_normed in (
                (arch.q_size + arch.kv_size, hidden, products.WRITE, True),
                (hidden, arch.q_size, products.ADD, False),
                (2 * inner, hidden, products.GATE, True),
                (hidden, inner, products.ADD, False),
            ):
                n_built += build_product(kind, n_out, n_in, n, mode, is_normed, every)
            n_built += build_product("int8", arch.vocab_size, hidden, n, products.WRITE, True, every)
    halves = ("qkv", "queries", "cache", "cache_scales", "out")
    floats = ("cos", "sin", "norms", "sums", "weights", "x", "norm", "logits", "scores", "best")
    whole = ("places", "params", "masks", "best_at")
    types = dict.fromkeys(halves, "*bf16") | dict.fromkeys(floats, "*fp32") | dict.fromkeys(whole, "*i32")
    types |= {"floor": "fp32", "scale": "fp32"}
    types |= {"said": "*i8", "chosen": "*i64", "ids": "*i64"}
    per_kv = arch.n_heads // arch.n_kv_heads
    both = {"DIM": arch.head_dim, "PAGE": 16}
    for is_int8 in (False, True):
        own = types | ({"cache": "*i8"} if is_int8 else {})
        build(looking.place, own, 1, **both, ROTATES=True, NORMED=is_int8, INT8=is_int8)
        for n_splits in (1, 32):
            heads = max(16, kernels.power_of_two(per_kv))
            shape_ = {"PER_KV": per_kv, "HEADS": heads, "BLOCK": 32, "SPLITS": n_splits, "UNITS": tl.bfloat16}
            build(looking.look, own, 2, **both, **shape_, INT8=is_int8)
    build(looking.merge, types, 2, DIM=arch.head_dim, SPLITS=32)
    unpacked = {"words": "*i32", "scales": "*i32", "out": "*bf16"}
    build(products.unpack, unpacked, BG=kernels.power_of_two(min(128, hidden // 32)))
    build(products.normalise, types, 8, BLOCK=kernels.power_of_two(hidden))
    build(choosing.score, types, N_FIELDS=len(Field), BLOCK=2048)
    build(choosing.choose, types, 8, N_FIELDS=len(Field), BLOCK=2048, CHUNKS=64)
    return n_built


if __name__ == "__main__":
    is_every = "--every" in sys.argv
    n = build_all("8b", ["int4", "int8", "dense"] if is_every else ["int4"], is_every)
    print(n + (build_all("135m", ["int4", "dense"], True) if is_every else 0))
