"""The language model on a CUDA device: Triton kernels, decoding in CUDA graphs, tokens chosen where the logits lie.

A step of at most `step.N_ROWS` rows, whosever they are, runs through `step.py`
on buffers that never move; longer prompts go through `model.py` as on a CPU.
`kernels.TritonOps` and `twin.TorchOps` do the same work: the second says in
torch what the first must give, and runs anywhere.
"""
