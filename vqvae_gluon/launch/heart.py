"""Run a command beside a process that shows whether it is alive.

Usage: python -m vqvae_gluon.launch.heart SHARES COMMAND...

The command replaces this process and keeps its id. A child of it, the heart, writes a NUL to standard error twice a
second, unless the command's process is stopped. The command gets 1/SHARES of this machine's cores as threads unless
OMP_NUM_THREADS is set. The heart sends the command SIGTERM for each byte on standard input. When standard input ends,
because the launcher has ended or is gone, or when the command ends, the heart kills the whole process group, including
children of the command.
"""
import contextlib
import os
import select
import signal
import socket
import sys
from typing import NoReturn

#: Seconds between two beats.
BEAT = 0.5


def main() -> NoReturn:
    """Become the command in the arguments; exit with 2 if a port is taken, with 127 if the command cannot be run."""
    shares, *command = sys.argv[1:]
    with contextlib.suppress(PermissionError):  # if this process leads its group already
        os.setsid()
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // int(shares))))
    if os.environ.get("DMLC_ROLE") == "scheduler":
        _check_port(os.environ["DMLC_NODE_HOST"], int(os.environ["DMLC_PS_ROOT_PORT"]))
    process = os.getpid()
    if os.fork() == 0:
        try:
            _beat(process)
        finally:
            os.killpg(0, signal.SIGKILL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"vqvae: error: {command[0]}: cannot be run ({error.strerror})", file=sys.stderr)
        os._exit(127)


def _beat(process: int) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    while os.getppid() == process:
        if select.select([0], [], [], BEAT)[0]:
            if not os.read(0, 1):
                return
            os.kill(process, signal.SIGTERM)
        if not _stopped(process):
            os.write(2, b"\0")


def _stopped(process: int) -> bool:
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] == b"T"
    except FileNotFoundError:
        return False  # it has ended, which the loop notices


def _check_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            print(
                f"vqvae: error: port {port} of {host} cannot be used ({error.strerror}); give another with --port",
                file=sys.stderr,
            )
            sys.exit(2)


if __name__ == "__main__":
    main()
