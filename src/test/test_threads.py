"""The number of threads that compute."""
import os
import subprocess
import sys

#: Prints how many threads are added when a large array is copied to MXNet and back.
COPY = """
import os, numpy, mxnet as mx
def threads():
    mx.nd.waitall()
    return len(os.listdir("/proc/self/task"))
mx.nd.ones((8, 8)).asnumpy()
before = threads()
mx.nd.array(numpy.zeros(1_000_000, numpy.float32)).asnumpy()
print(threads() - before)
"""


def more_threads(first_line):
    environment = {name: value for name, value in os.environ.items() if name != "MXNET_CPU_PARALLEL_SIZE"}
    environment["OMP_NUM_THREADS"] = "2"
    command = [sys.executable, "-c", f"{first_line}\n{COPY}"]
    return int(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)


def test_large_copies_need_no_threads_of_their_own():
    assert more_threads("import vqvae_gluon") == 0


def test_mxnet_alone_has_them():
    assert more_threads("") > 0  # otherwise the test above could not fail
