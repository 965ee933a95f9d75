"""Products in vectors, on whichever instructions there are, against torch."""

import numba
import numpy as np
import pytest
import torch

from npc.llm import simd
from npc.llm.linear import Int4Linear, Int8Linear

KINDS = {4: Int4Linear, 8: Int8Linear}


def product(n_bits: int, n_rows: int, packed: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """x [n_rows, 64] of small whole numbers times the first 16 rows of a packed matrix, before int8's scales."""
    tile = simd.tiles(n_bits)[(1, 2, 3, 4, 8).index(n_rows)]

    @numba.njit
    def run(weights: int, x: np.ndarray, scales: np.ndarray, out: np.ndarray) -> None:
        tile(weights, x.ctypes.data, 64, scales.ctypes.data, 16, out.ctypes.data, 64, 2)

    rounded = x.char().numpy()
    sums = x.view(n_rows, 2, 32).sum(-1)
    scales = torch.stack((torch.ones_like(sums), sums), -1).contiguous().numpy()
    out = np.empty((n_rows, 16), np.float32)
    aligned = torch.empty(packed.numel() + 64, dtype=torch.uint8)
    aligned = aligned[-aligned.data_ptr() % 64 :][: packed.numel()].copy_(packed.flatten())
    run(aligned.data_ptr(), rounded, scales, out)
    return torch.from_numpy(out)


@pytest.mark.parametrize("n_bits", [4, 8])
@pytest.mark.parametrize("features", [None, ("avx2", "avxvnni"), ("avx512bw",), ("avx2",), ()])
def test_every_set_of_instructions_computes_the_same(
    features: tuple[str, ...] | None, n_bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if features is not None:
        own = simd._features()
        if {"avx512vl", "avx512vnni"} <= own:  # the same instruction in its other coding
            own |= {"avxvnni"}
        if not set(features) <= own:
            pytest.skip("this processor lacks them")
        monkeypatch.setattr(simd, "_features", lambda: frozenset(features))
    generator = torch.Generator().manual_seed(4)
    top = 16 if n_bits == 4 else 255
    weight = torch.randint(0, top, (16, 64), generator=generator).float()
    weight[:, ::32], weight[:, 1::32] = 0, top - 1  # every group spans the grid: levels are the weights themselves
    weight -= 0 if n_bits == 4 else 127
    x = torch.randint(-127, 128, (4, 64), generator=generator).float()
    packed = KINDS[n_bits].pack(weight, None)["packed"]
    assert torch.equal(product(n_bits, 4, packed, x), x @ weight.T)
