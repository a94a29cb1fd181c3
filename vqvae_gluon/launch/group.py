"""Processes that belong together: started, watched, and all ended at once."""
import contextlib
import os
import selectors
import shlex
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, List, Optional, Sequence, Tuple

from .. import __version__
from ..errors import VQVAEError
from .plan import Host, Part, remote_text

# Seconds without a sign of life after which a process counts as lost; the first sign may take longer.
_SILENCE, _FIRST_SILENCE = 6.0, 30.0
_STOPPING = 20.0  # seconds that worker 0 gets to save its work when it is asked to stop
_LAST_WORDS = 1.0
_ENDING = 5.0
_POLL = 0.25
_SSH = (
    *("ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5"),
    *("-o", "ServerAliveInterval=2", "-o", "ServerAliveCountMax=3"),
)
_ERROR, _STOPPED = "vqvae: error: ", "vqvae: stopped"
_HEART = [sys.executable, "-m", "vqvae_gluon.launch.heart"]


class Process:
    """One running part, the time of its last sign of life, and its last line on standard error."""

    def __init__(self, part: Part, speaks: bool) -> None:
        self.part = part
        self.speaks = speaks
        self.last = ""
        self._rest = b""
        command = [*_HEART, str(part.shares), *part.command]
        if part.host.name:
            text = shlex.join(["env", *(f"{name}={value}" for name, value in part.variables.items()), *command])
            command = [*_SSH, part.host.name, remote_text(text)]
        try:
            self.popen: Any = subprocess.Popen(  # Any: its pipes are never None
                command,
                stdin=subprocess.PIPE,
                stdout=None if speaks else subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=os.environ if part.host.name else {**os.environ, **part.variables},
                start_new_session=True,
            )
        except OSError as error:
            raise VQVAEError(f"{command[0]}: cannot be run ({error.strerror})") from None
        self.heard = time.monotonic() + _FIRST_SILENCE - _SILENCE

    @property
    def name(self) -> str:
        """The name of the process in messages."""
        return self.part.name + (f" on {self.part.host.name}" if self.part.host.name else "")

    def read(self) -> bool:
        """Read what the process has written, and print worker 0's lines; return False at the end of its output."""
        content = os.read(self.popen.stderr.fileno(), 1 << 16)
        self.heard = time.monotonic()
        *lines, self._rest = (self._rest + content.replace(b"\0", b"")).split(b"\n")
        for line in lines + ([] if content else [self._rest]):
            text = line.decode("utf-8", "replace")
            self.last = text if text.strip() else self.last
            # How the processes ended is reported at the end, in one line for all of them.
            if self.speaks and not text.startswith((_ERROR, _STOPPED)) and (text or content):
                print(text, file=sys.stderr, flush=True)
        return bool(content)

    def fault(self) -> str:
        """Return what went wrong, or an empty string if the process is running or has done its work."""
        status = self.popen.poll()
        if status is None:
            if time.monotonic() - self.heard <= _SILENCE:
                return ""
            return f"{self.name} gave no sign of life for {_SILENCE:g} seconds (it was stopped, or lost)"
        if status == 0:
            return ""
        number = -status if status < 0 else status - 128
        if number in set(signal.Signals):
            return f"{self.name} was killed by {signal.Signals(number).name}"
        said = self.last[len(_ERROR) :] if self.last.startswith(_ERROR) else self.last
        if self.part.host.name and status == 255:
            return f"{self.name}: the connection was lost ({said})"
        return f"{self.name} ended with an error: {said or f'exit status {status}'}"

    def ask_to_stop(self) -> None:
        """Send the process SIGTERM, wherever it runs."""
        with contextlib.suppress(OSError):
            self.popen.stdin.write(b"\1")
            self.popen.stdin.flush()

    def end(self) -> None:
        """Kill the process and everything it started; on another machine, its heart does so."""
        with contextlib.suppress(OSError):
            self.popen.stdin.close()
        if not self.part.host.name:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.popen.pid, signal.SIGKILL)


class Group:
    """The processes of a plan, as a context manager: none of them outlives the block.

    Raises VQVAEError if a process cannot be started.
    """

    def __init__(self, plan: Sequence[Part]) -> None:
        self._plan = plan
        self._processes: List[Process] = []
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> "Group":
        try:
            for part in self._plan:
                process = Process(part, part.name == "worker 0")
                self._processes.append(process)
                self._selector.register(process.popen.stderr, selectors.EVENT_READ, process)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.speaks = False  # a shell may report that its command was killed
            process.end()
        end = time.monotonic() + _ENDING
        while self._selector.get_map() and time.monotonic() < end:
            self._listen()  # until the last holder of each pipe is gone
        for process in self._processes:
            if process.popen.poll() is None:
                process.popen.kill()  # an ssh that is still waiting
            process.popen.wait()
            process.popen.stderr.close()

    @property
    def _workers(self) -> List[Process]:
        return [process for process in self._processes if process.part.variables["DMLC_ROLE"] == "worker"]

    def wait(self) -> str:
        """Wait for all workers to finish and return '', or for a process to fail and return what happened to it."""
        while True:
            self._listen()
            # Checked before the faults: otherwise a worker that dies between the two checks would be taken for a
            # finished one.
            ended = all(worker.popen.poll() is not None for worker in self._workers)
            dead = [process for process in self._processes if process.fault()]
            if dead:
                self._hear_out(dead[0], _LAST_WORDS)
                return dead[0].fault()
            if ended:
                self._hear_out(self._workers[0], _LAST_WORDS)
                return ""

    def stop(self) -> str:
        """Ask worker 0 to save and stop, give it time to do so, and return what it reports."""
        first = self._workers[0]
        first.ask_to_stop()
        self._hear_out(first, _STOPPING)
        return first.last[len("vqvae: ") :].partition(";")[0] if first.last.startswith(_STOPPED) else "stopped"

    def _hear_out(self, process: Process, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and process in (key.data for key in self._selector.get_map().values()):
            self._listen()

    def _listen(self) -> None:
        for key, _ in self._selector.select(_POLL):
            if not key.data.read():
                self._selector.unregister(key.fileobj)
        if not self._selector.get_map():
            time.sleep(_POLL)


def check_hosts(hosts: Sequence[Host]) -> None:
    """Raise VQVAEError, naming the host, if one cannot be reached or does not have this version of the package."""
    names = list(dict.fromkeys(host.name for host in hosts))
    with ThreadPoolExecutor(len(names)) as pool:
        answers = list(pool.map(_ask_version, names))
    for name, (status, version, said) in zip(names, answers):
        if status == 255:
            raise VQVAEError(f"{name}: cannot be reached by ssh ({said}); nothing was started")
        if status:
            raise VQVAEError(f"{name}: cannot run {sys.executable} -m vqvae_gluon in this folder ({said})")
        if version != __version__:
            raise VQVAEError(f"{name}: has version {version} of vqvae_gluon, this is {__version__}; install the same")


def _ask_version(name: str) -> Tuple[Optional[int], str, str]:
    command = [*_SSH, name, remote_text(shlex.join([sys.executable, "-m", "vqvae_gluon", "--version"]))]
    try:
        answer = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return 255, "", "it does not answer"
    except OSError as error:
        return 255, "", f"ssh cannot be run: {error.strerror}"
    said = answer.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
    return answer.returncode, answer.stdout.decode("utf-8", "replace").strip(), "".join(said) or "no answer"
