"""Serve a model as `llama-server` does: python -m tests.real.llama_cpp FILE PORT TOKENS.

The package has llama.cpp's server as a library. Runs in an environment that has it.
"""

import signal
import sys

import xllamacpp

_, weights, port, tokens = sys.argv
parameters = xllamacpp.CommonParams()
parameters.model.path = weights
parameters.port = int(port)
parameters.n_ctx = int(tokens)
parameters.n_parallel = 1
parameters.cpuparams.n_threads = 1  # Several wait for each other by turning in circles.
parameters.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(parameters)
signal.pause()
