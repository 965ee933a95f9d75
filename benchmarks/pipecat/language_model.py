"""llama.cpp's server on a free port, in the environment of requirements.txt.

    python language_model.py MODEL.gguf N_THREADS    stdout: one line, its address; it ends when stdin does

One slot and the cache of prompts on, so that a conversation's past is read once.
"""

import sys

import xllamacpp


def main() -> None:
    params = xllamacpp.CommonParams()
    params.model.path = sys.argv[1]
    params.n_ctx, params.n_parallel, params.port = 4096, 1, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = int(sys.argv[2])
    params.verbosity = -1
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
