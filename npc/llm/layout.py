"""How packed weights lie in memory: what those who make them, and those who read them, agree on."""

LANES = 16
"""Rows of a matrix that are computed side by side: a vector of 32-bit numbers."""
GROUP = 32
"""Inputs that share a scale."""
INT4_BYTES, INT8_BYTES = 2 * 2 * LANES + LANES * GROUP // 2, LANES * GROUP
"""What `LANES` rows' `GROUP` weights take: in int4 with a scale and a low in float16 for each row."""
PIECE = 32
"""Outputs of a matrix that a thread takes at a time; so many rows of gates and of ups lie in turns."""

BF16, INT8, INT4 = 0, 1, 2
"""Kinds of matrices, for compiled loops."""
