"""What the Triton kernels compute, said in torch: their test, and what runs where there is no Triton."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (the name that the field uses)

from npc.llm.cache import LayerCache
from npc.llm.gpu.linear import DeviceLinear
from npc.llm.gpu.step import Buffers, Field, Mode
from npc.llm.model import RmsNorm, Transformer, ungate
from npc.llm.sampler import draw, penalise


class TorchOps:
    def __init__(self, model: Transformer) -> None:
        self._model = model
        cos, sin = model.arch.rotary.tables(model.arch.head_dim, model.n_positions)
        self._cos, self._sin = cos.to(model.device), sin.to(model.device)

    def product(
        self, x: Tensor, linear: DeviceLinear, out: Tensor, n: int, norm: RmsNorm | None = None, mode: Mode = "write"
    ) -> None:
        rows = x[:n] if norm is None else norm(x[:n])
        made = linear(rows).float()
        if mode == "gate":
            gate, up = ungate(made)
            made = (F.silu(gate) * up).flatten(-2)
        out[:n] = out[:n] + made if mode == "add" else made

    def place(self, index: int, buffers: Buffers, cache: LayerCache, n: int) -> None:
        arch, layer = self._model.arch, self._model.layers[index]
        heads = buffers.qkv[:n].view(n, -1, arch.head_dim).float()
        queries, keys, values = torch.split(heads, [arch.n_heads, arch.n_kv_heads, arch.n_kv_heads], 1)
        if layer.q_norm is not None and layer.k_norm is not None:
            queries, keys = layer.q_norm(queries).float(), layer.k_norm(keys).float()
        positions = buffers.places[:n, 0].long()
        if arch.rotates[index]:
            cos, sin, half = self._cos[positions], self._sin[positions], arch.head_dim // 2
            queries, keys = (x * cos + x.roll(half, -1) * sin for x in (queries, keys))
        buffers.queries[:n] = queries.flatten(1).to(buffers.queries.dtype)
        pages = buffers.places[:n, 1:].gather(1, (positions // cache.page_size)[:, None])[:, 0].long()
        slots = pages * cache.page_size + positions % cache.page_size
        cache.write(slots, torch.cat((keys, values), 1).flatten(1).to(buffers.qkv.dtype))

    def look(self, index: int, buffers: Buffers, cache: LayerCache, n: int) -> None:
        arch = self._model.arch
        kv, dim, per_kv = arch.n_kv_heads, arch.head_dim, arch.n_heads // arch.n_kv_heads
        positions = buffers.places[:n, :1].long()
        tables = buffers.places[:n, 1:].long()
        both = cache.read(tables.reshape(-1)).view(n, -1, 2, kv, dim).transpose(1, 3)  # [n, kv, 2, keys, dim]
        at = torch.arange(both.shape[3], device=positions.device)
        is_seen = at <= positions
        if arch.windows[index]:
            is_seen &= at > positions - arch.windows[index]
        queries = buffers.queries[:n].view(n, kv, per_kv, dim)
        looked = F.scaled_dot_product_attention(queries, both[:, :, 0], both[:, :, 1], is_seen[:, None, None])
        buffers.attended[:n] = looked.reshape(n, arch.q_size)

    def choose(self, buffers: Buffers, n: int) -> None:
        params = buffers.params[:n].cpu().numpy()
        floats = params.view(np.float32)
        for choice in range(n):
            row, slot, is_masked = (int(params[choice, field]) for field in (Field.ROW, Field.SLOT, Field.IS_MASKED))
            temperature, penalty, top_p = (
                float(floats[choice, field]) for field in (Field.TEMPERATURE, Field.PENALTY, Field.TOP_P)
            )
            logits = penalise(buffers.logits[row], buffers.said[slot].nonzero()[:, 0], penalty)
            if is_masked:
                bits = np.unpackbits(buffers.masks[choice].cpu().numpy().view(np.uint8), bitorder="little")
                allowed = torch.from_numpy(bits[: logits.shape[0]]).bool().to(logits.device)
                logits = logits.masked_fill(~allowed, -torch.inf)
            if temperature > 0:
                low, high = (int(params[choice, field]) for field in (Field.NUMBER_LOW, Field.NUMBER_HIGH))
                number = (low & 0xFFFFFFFF) | (high & 0xFFFFFFFF) << 32
                token = draw(logits, number, temperature, top_p, int(params[choice, Field.TOP_K]))
            else:
                token = int(logits.argmax())
            buffers.said[slot, token] = 1
            buffers.chosen[choice] = token
            buffers.ids[choice] = token
