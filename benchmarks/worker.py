"""Calls to a long-running process, as lines of JSON over its standard input and output.

The caller and the process may run different Pythons; both need only the standard library.
"""
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any, Callable


class Worker:
    """A process of ``python`` that runs the functions that ``script`` passes to :func:`serve`.

    It works in ``folder``, with some environment variables set; its output is written to a log there.
    """

    def __init__(self, python: Path, script: Path, folder: Path, name: str, **environment: str) -> None:
        self.calls = 0
        self._name = name
        self._log = folder / f"{name}.log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [str(python), str(script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=str(folder),
                env={**os.environ, **environment},
                text=True,
            )

    def call(self, function: str, **arguments: Any) -> Any:
        """Call a function of the process and return its result; raise RuntimeError if it raises or the process ends."""
        self.calls += 1
        print(json.dumps([function, arguments]), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._name} ended in {function}:\n{self._log.read_text()[-2000:]}")
        reply = json.loads(line)
        if "error" in reply:
            raise RuntimeError(f"{self._name}: {function}{arguments}:\n{reply['error']}")
        return reply["result"]

    def cpu_seconds(self) -> float:
        """Return the CPU time in seconds that the process has used in all its threads."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> float:
        """End the process and return its peak memory; see :func:`peak_memory`."""
        self._process.stdin.close()
        return peak_memory(self._process)


def peak_memory(process: subprocess.Popen) -> float:
    """Wait for a process to end and return its peak resident memory in MiB."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
    if process.returncode:
        raise RuntimeError(f"{process.args} ended with status {process.returncode}")
    return usage.ru_maxrss / 1024


def serve(*functions: Callable[..., Any]) -> None:
    """Answer the calls of a :class:`Worker` until it closes the connection."""
    known = {function.__name__: function for function in functions}
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not mix with the replies
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            reply = {"result": known[name](**arguments)}
        except Exception:
            reply = {"error": traceback.format_exc()}
        print(json.dumps(reply), file=replies, flush=True)
