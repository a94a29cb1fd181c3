"""A process that runs one Python command line after another: each process of its own would load MXNet for two seconds.

Run as a program, it answers a :class:`Server`.
"""
import atexit
import json
import os
import select
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Callable, Dict, Optional, Sequence

_STREAMS = {"in": os.O_RDONLY, "out": os.O_WRONLY, "err": os.O_WRONLY}


class Server:
    """Runs commands as ``subprocess.run`` does, in a process that stays.

    It makes way for a new one when a command has ended it, or when the environment has changed.
    """

    def __init__(self, limit: Optional[Callable[[], None]] = None) -> None:
        """``limit`` is called in each new process, to set system limits for it."""
        self._limit = limit
        self._process: Optional[subprocess.Popen] = None
        self._environment: Dict[str, str] = {}
        atexit.register(self.close)

    def run(
        self, words: Sequence[str], input: bytes = b"", cwd: Optional[str] = None, timeout: float = 300
    ) -> subprocess.CompletedProcess:
        """Run ``vqvae`` with some words; raise subprocess.TimeoutExpired if it does not end in time."""
        process = self._started()
        with tempfile.TemporaryDirectory() as folder:
            streams = {name: Path(folder, name) for name in _STREAMS}
            for name, path in streams.items():
                path.write_bytes(input if name == "in" else b"")
            print(json.dumps([folder, str(cwd or os.getcwd()), list(words)]), file=process.stdin, flush=True)
            if not select.select([process.stdout], [], [], timeout)[0]:
                self.close()
                raise subprocess.TimeoutExpired(words, timeout)
            status = process.stdout.readline()
            code = int(status) if status else process.wait()
            return subprocess.CompletedProcess(words, code, streams["out"].read_bytes(), streams["err"].read_bytes())

    def _started(self) -> subprocess.Popen:
        environment = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
        if self._process is None or self._process.poll() is not None or self._environment != environment:
            self.close()
            self._environment = environment
            self._process = subprocess.Popen(
                [sys.executable, __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
                preexec_fn=self._limit,
            )
        return self._process

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def serve() -> None:
    """Run what a :class:`Server` asks for, and answer with exit statuses."""
    from vqvae_gluon.cli import main

    requests, replies = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    for request in requests:
        folder, cwd, words = json.loads(request)
        os.chdir(cwd)
        for number, (name, mode) in enumerate(_STREAMS.items()):
            file = os.open(os.path.join(folder, name), mode)
            os.dup2(file, number)
            os.close(file)
        sys.stdin = os.fdopen(0, closefd=False)  # which has read nothing ahead
        try:
            status = main(words)
        except SystemExit as end:
            status = end.code
        except BaseException:
            traceback.print_exc()
            status = 1
        sys.stdout.flush()
        sys.stderr.flush()
        print(int(status or 0), file=replies, flush=True)


if __name__ == "__main__":
    serve()
