"""Serves a GGUF model with llama.cpp on loopback until it is killed.

Usage: serve.py MODEL PORT
"""

import sys
import time

import xllamacpp

if len(sys.argv) != 3:
    sys.exit(__doc__)

settings = xllamacpp.CommonParams()
settings.model.path = sys.argv[1]
settings.hostnames = ["127.0.0.1"]
settings.port = int(sys.argv[2])
settings.n_ctx = 2048
settings.n_parallel = 2
settings.n_predict = 32
settings.warmup = False
settings.use_jinja = True
settings.endpoint_metrics = True
# One thread each: the tests run several of these beside the gateway.
settings.cpuparams.n_threads = 1
settings.cpuparams_batch.n_threads = 1

server = xllamacpp.Server(settings)
print("listening", server.listening_address, flush=True)
while True:
    time.sleep(1)
