"""A process that runs one Python command line after another: each process of its own would load MXNet for two seconds.

Run as a program with the number of a socket, it is that process; with an address and words, it hands them to it.
"""
import atexit
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Callable, Dict, Optional, Sequence, Tuple

_LONGEST = 1 << 16  # bytes of a request


class Server:
    """Runs commands as ``subprocess.run`` does, in a process that stays.

    It makes way for a new one when a command has ended it, or when the environment has changed.
    """

    def __init__(self, limit: Optional[Callable[[], None]] = None, **environment: str) -> None:
        """``limit`` is called in each new process, to set system limits for it; ``environment`` adds to its own."""
        self._limit = limit
        self._more = environment
        self._process: Optional[subprocess.Popen] = None
        self._environment: Dict[str, str] = {}
        self._address = ""
        atexit.register(self.close)

    def run(
        self, words: Sequence[str], input: bytes = b"", cwd: Optional[str] = None, timeout: float = 300
    ) -> subprocess.CompletedProcess:
        """Run ``vqvae`` with some words, or Python's ``-c CODE``; raise subprocess.TimeoutExpired if it is too slow."""
        process, address = self._started()
        with contextlib.ExitStack() as stack:
            # By name, because a command that writes to /dev/stdout replaces the file that it is.
            streams = [stack.enter_context(tempfile.NamedTemporaryFile()) for _ in range(3)]
            streams[0].write(input)
            streams[0].seek(0)
            try:
                status = ask(address, words, [stream.fileno() for stream in streams], cwd, timeout)
            except socket.timeout:
                self.close()
                raise subprocess.TimeoutExpired(words, timeout) from None
            code = int(status) if status else process.wait()
            output, error = (Path(stream.name).read_bytes() for stream in streams[1:])
            return subprocess.CompletedProcess(words, code, output, error)

    @property
    def address(self) -> str:
        """What other processes reach it by: ``python server.py ADDRESS WORDS`` stands for ``vqvae WORDS``."""
        return self._started()[1]

    def _started(self) -> Tuple[subprocess.Popen, str]:
        environment = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
        if self._process is None or self._process.poll() is not None or self._environment != environment:
            self.close()
            self._environment = environment
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(b"")  # an address of the system's choice, which is no file and begins with a zero
                listener.listen()
                self._address = listener.getsockname()[1:].decode()
                self._process = subprocess.Popen(
                    [sys.executable, __file__, str(listener.fileno())],
                    pass_fds=[listener.fileno()],
                    stdin=subprocess.DEVNULL,
                    env={**environment, **self._more},
                    preexec_fn=self._limit,
                )
        return self._process, self._address

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def ask(
    address: str, words: Sequence[str], streams: Sequence[int], cwd: Optional[str] = None, timeout: float = 300
) -> bytes:
    """Let a server run a command with the three standard streams; return its exit status, or b"" if it ended itself."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout)
        connection.connect(f"\0{address}")
        request = json.dumps([str(cwd or os.getcwd()), list(words)]).encode()
        assert len(request) < _LONGEST
        socket.send_fds(connection, [request], streams)
        with contextlib.suppress(ConnectionResetError):
            return connection.recv(100)
    return b""


def serve(listener: socket.socket) -> None:
    """Run what :func:`ask` asks for, and answer with exit statuses."""
    from vqvae_gluon.cli import main

    nowhere = os.open(os.devnull, os.O_RDWR)
    while True:
        connection, _ = listener.accept()
        request, streams, _, _ = socket.recv_fds(connection, _LONGEST, 3)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        cwd, words = json.loads(request)
        os.chdir(cwd)
        sys.stdin = os.fdopen(0, closefd=False)  # which has read nothing ahead
        try:
            status = exec(words[1], {"__name__": "__main__"}) if words[:1] == ["-c"] else main(words)
        except SystemExit as end:
            status = end.code
        except BaseException:
            traceback.print_exc()
            status = 1
        sys.stdout.flush()
        sys.stderr.flush()
        for number in range(3):  # whoever reads from this command must see its end
            os.dup2(nowhere, number)
        connection.sendall(b"%d" % int(status or 0))
        connection.close()


if __name__ == "__main__":
    if len(sys.argv) == 2:
        serve(socket.socket(fileno=int(sys.argv[1])))
    else:
        sys.exit(int(ask(sys.argv[1], sys.argv[2:], [0, 1, 2]) or 1))
