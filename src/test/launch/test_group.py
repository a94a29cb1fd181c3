"""Processes of a launched training that die, and what they leave behind."""
import os
import re
import shlex
import signal
import socket
import stat
import subprocess
import time

import numpy as np
import pytest

from conftest import COMMAND, run_python
from vqvae_gluon import __version__
from vqvae_gluon.launch.group import Group
from vqvae_gluon.launch.plan import Host, Part
from vqvae_gluon.training.autoencoder import AUTOENCODER
from vqvae_gluon.training.checkpoint import checkpoint_path, list_checkpoints, load_checkpoint

SMALL = ["--image-size", "8x8", "--num-embeddings", "8", "--embedding-dim", "4", "--batch-size", "8", "--pictures", "1"]

# In a message: the command to resume with.
CALLED = shlex.quote(str(COMMAND))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def processes(port):
    """Return {role and number, or "heart": process} of the living processes of the launch with this port."""
    found = {}
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{number}/environ", "rb") as file:
                variables = dict(line.split("=", 1) for line in file.read().decode().split("\0") if "=" in line)
            with open(f"/proc/{number}/cmdline", "rb") as file:
                heart = b"vqvae_gluon.launch.heart" in file.read()
        except OSError:
            continue
        if variables.get("DMLC_PS_ROOT_PORT") == str(port):
            name = f"heart {number}" if heart else f"{variables['DMLC_ROLE']} {variables.get('DMLC_WORKER_ID', '')}"
            found[name.strip()] = int(number)
    return found


def assert_nothing_is_left(port):
    assert processes(port) == {}
    end = time.monotonic() + 5
    while not is_free(port):  # an ending process has no variables any more, but keeps its port for a moment
        assert time.monotonic() < end
        time.sleep(0.1)


def is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@pytest.fixture
def launched(picture_folder, tmp_path):
    """Start a launch that would take long, wait for its first epochs, and end it in any case."""
    started = []

    def start(*flags, epochs=5000, run=tmp_path / "run", **kwargs):
        port = free_port()
        command = ["launch", "--workers", "2", "--port", str(port), *flags, "--", "train", "--data", picture_folder]
        command += [*SMALL, "--num-epoch", str(epochs), "--checkpoint-period", "1", "--output", run]
        pipe = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen([str(word) for word in [COMMAND, *command]], **pipe, **kwargs))
        started[-1].port = port
        if epochs == 5000:
            until(lambda: len(list_checkpoints(run)) and list_checkpoints(run)[-1] > 1, started[-1])
        return started[-1]

    yield start
    for launch in started:
        launch.kill()
        launch.wait()
        launch.stderr.close()


def until(condition, launch, seconds=400):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end and launch.poll() is None, launch.stderr.read1().decode()
        time.sleep(0.1)


def ended(launch):
    """Return the exit status and the only line of a launch that must end."""
    error = launch.communicate(timeout=60)[1].decode()
    assert error.count("\n") == 1, error
    return launch.returncode, error


def test_only_the_first_sign_of_life_may_take_longer():
    part = Part("worker 1", Host("", "127.0.0.1"), {"DMLC_ROLE": "worker"}, ["sleep", "60"], 1)
    with Group([part]) as group:
        (process,) = group._processes
        assert process.heard > time.monotonic()
        assert process.read()
        assert process.heard <= time.monotonic()


DEATHS = [
    ("worker 1", signal.SIGKILL, "worker 1 was killed by SIGKILL"),
    ("scheduler", signal.SIGKILL, "the scheduler was killed by SIGKILL"),
    ("server", signal.SIGSTOP, "server 0 gave no sign of life for 6 seconds (it was stopped, or lost)"),
    # The others, if there is time: VQVAE_ALL_DEATHS=1.
    ("worker 0", signal.SIGKILL, "worker 0 was killed by SIGKILL"),
    ("server", signal.SIGKILL, "server 0 was killed by SIGKILL"),
    ("worker 0", signal.SIGSTOP, "worker 0 gave no sign of life for 6 seconds (it was stopped, or lost)"),
    ("worker 1", signal.SIGSTOP, "worker 1 gave no sign of life for 6 seconds (it was stopped, or lost)"),
    ("scheduler", signal.SIGSTOP, "the scheduler gave no sign of life for 6 seconds (it was stopped, or lost)"),
]


@pytest.mark.parametrize("who, number, message", DEATHS[: None if os.environ.get("VQVAE_ALL_DEATHS") else 3])
def test_a_death_ends_all_and_names_who_died(launched, tmp_path, who, number, message):
    launch = launched()
    os.kill(processes(launch.port)[who], number)
    killed = time.monotonic()
    status, error = ended(launch)
    print(f"{who} {number.name}: ended after {time.monotonic() - killed:.1f} s")
    assert status == 2
    go_on = f"resume with: {CALLED} launch --workers 2 --port {launch.port} -- train "
    assert error.startswith(f"vqvae: error: {message}; {go_on}")
    assert error.endswith(f" --output {tmp_path / 'run'} --resume\n")
    assert_nothing_is_left(launch.port)


def test_after_a_death_the_command_makes_what_none_would_have_changed(launched, tmp_path):
    launch = launched(epochs=12)
    until(lambda: len(list_checkpoints(tmp_path / "run")), launch)
    os.kill(processes(launch.port)["worker 0"], signal.SIGKILL)
    again = shlex.split(ended(launch)[1].partition("; resume with: ")[2])
    assert list_checkpoints(tmp_path / "run")[-1] < 11
    resumed = run_python(*again[1:])
    assert resumed.returncode == 0, resumed.stderr
    assert b"continuing at epoch" in resumed.stdout
    whole = launched(epochs=12, run=tmp_path / "whole")
    assert whole.wait(timeout=400) == 0
    first, second = (load_checkpoint(checkpoint_path(tmp_path / run, 11), AUTOENCODER) for run in ("run", "whole"))
    assert first.rows == second.rows and first.updates == second.updates
    for group in ("weights", "optimizer", "averages"):
        for name, array in getattr(first, group).items():
            np.testing.assert_array_equal(array, getattr(second, group)[name], err_msg=name)


def test_a_launch_that_is_stopped_saves_and_says_how_to_go_on(launched, tmp_path):
    launch = launched()
    launch.send_signal(signal.SIGTERM)
    status, error = ended(launch)
    assert status == 130
    epoch = list_checkpoints(tmp_path / "run")[-1] + 1
    go_on = f"resume with: {CALLED} launch --workers 2 --port {launch.port} -- train "
    assert error.startswith(f"vqvae: stopped in epoch {epoch}; {go_on}")
    assert_nothing_is_left(launch.port)


def test_a_launcher_that_is_killed_takes_all_with_it(launched):
    launch = launched(env={name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"})
    running = processes(launch.port)
    with open(f"/proc/{running['worker 1']}/environ", "rb") as file:
        assert b"\0OMP_NUM_THREADS=%d\0" % max(1, len(os.sched_getaffinity(0)) // 2) in file.read()
    assert {name.partition(" ")[0] for name in running} == {"scheduler", "server", "worker", "heart"}
    listening = listeners(running.values())
    assert ("127.0.0.1", launch.port) in listening and len(listening) == 4
    assert {address for address, _ in listening} == {"127.0.0.1"}
    launch.kill()
    end = time.monotonic() + 10
    while processes(launch.port) and time.monotonic() < end:
        time.sleep(0.1)
    assert_nothing_is_left(launch.port)


def listeners(numbers):
    """Return the addresses and ports (IPv4) on which processes listen."""
    inodes = set()
    for number in numbers:
        for handle in os.listdir(f"/proc/{number}/fd"):
            found = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(f"/proc/{number}/fd/{handle}"))
            inodes |= {found[1]} if found else set()
    with open("/proc/net/tcp") as file:
        rows = [line.split() for line in file.readlines()[1:]]
    places = [row[1].split(":") for row in rows if row[3] == "0A" and row[9] in inodes]
    return {(socket.inet_ntoa(bytes.fromhex(address)[::-1]), int(port, 16)) for address, port in places}


SSH = """#!/usr/bin/env python3
import os, sys
words = sys.argv[1:]
while words[0] == "-o":
    del words[:2]
host, text = words
if host == "gone":
    print("ssh: connect to host gone port 22: No route to host", file=sys.stderr)
    sys.exit(255)
if host == "old":
    text = text.replace("-m vqvae_gluon --version", "-c 'print(\\"0.0.1\\")'")
if host == "bare":
    text = text.replace("-m vqvae_gluon --version", "-m no_such_module")
open(os.environ["SSH_LOG"], "a").write(host + "\\n")
os.execvp("sh", ["sh", "-c", text])
"""


@pytest.fixture
def stub_ssh(tmp_path, monkeypatch):
    """A program 'ssh' that runs the command locally; the host 'gone' cannot be reached, and so on."""
    path = tmp_path / "bin" / "ssh"
    path.parent.mkdir()
    path.write_text(SSH)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("SSH_LOG", str(tmp_path / "ssh.log"))
    return tmp_path / "ssh.log"


def test_hosts_are_reached_by_ssh_and_watched_there(launched, stub_ssh, tmp_path):
    hosts = tmp_path / "hosts"
    hosts.write_text("alpha 127.0.0.1  # the first\n\nme@beta 127.0.0.1\n")
    launch = launched("--hosts", hosts)
    assert set(stub_ssh.read_text().split()) == {"alpha", "me@beta"}
    os.kill(processes(launch.port)["worker 1"], signal.SIGKILL)
    status, error = ended(launch)
    assert status == 2
    fault = "worker 1 on me@beta was killed by SIGKILL"
    assert error.startswith(f"vqvae: error: {fault}; resume with: {CALLED} launch --workers 2 ")
    assert f" --hosts {hosts} " in error
    assert_nothing_is_left(launch.port)


@pytest.mark.parametrize(
    "text, message",
    [
        ("gone 127.0.0.1", "gone: cannot be reached by ssh (ssh: connect to host gone port 22: No route to host)"),
        ("old 127.0.0.1", f"old: has version 0.0.1 of vqvae_gluon, this is {__version__}; install the same"),
        ("bare 127.0.0.1", " -m vqvae_gluon in this folder ("),
        ("nowhere.invalid", "hosts:1: nowhere.invalid has no address that is known here; give it after the name"),
        ("a b c", "hosts:1: holds 'a b c': give a host and, if need be, its address"),
        ("-oProxyCommand=x", "hosts:1: holds '-oProxyCommand=x': give a host"),
        ("# none", "hosts: names no host; give one on each line"),
    ],
)
def test_hosts_that_do_not_serve_are_named(stub_ssh, tmp_path, text, message):
    (tmp_path / "hosts").write_text(text + "\n")
    result = run_python("launch", "--workers", "2", "--hosts", tmp_path / "hosts", "--", "train")
    assert result.returncode == 2
    assert message in result.stderr.decode() and result.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    "words, message",
    [
        (["--workers", "0", "--", "train"], "--workers was given as 0: it must be from 1 to 1024"),
        (["--workers", "2", "--servers", "0", "--", "train"], "--servers was given as 0: it must be from 1 to 1024"),
        (["--workers", "2", "--port", "70000", "--", "train"], "--port was given as 70000: it must be from 1 to 65535"),
        (["--workers", "2", "--", "encode", "x"], "launch was given 'encode' to run: give train or prior"),
        (["--workers", "2"], "launch was given no command to run: give train or prior with its options after --"),
        (["--workers", "2", "--", "train", "--bath-size", "8"], "unrecognized arguments: --bath-size 8"),
        (["--workers", "2", "--hosts", "/no/file", "--", "train"], "/no/file: no such file"),
    ],
)
def test_what_cannot_be_launched_is_refused(words, message):
    result = run_python("launch", *words)
    assert result.returncode == 2
    assert message in result.stderr.decode() and result.stderr.count(b"\n") == 1


PORT_TAKEN = "the scheduler ended with an error: port {} of 127.0.0.1 cannot be used (Address already in use)"


@pytest.fixture
def taken_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def test_a_port_that_is_taken_is_named(taken_port):
    result = run_python("launch", "--workers", "2", "--port", taken_port, "--", "train", "--output", "/no/folder")
    assert result.returncode == 2
    assert result.stderr.decode() == f"vqvae: error: {PORT_TAKEN.format(taken_port)}; give another with --port\n"


@pytest.mark.parametrize(
    "words, saved, told",
    [
        (["train", "--output", "there"], "there", False),  # another training, which these workers do not touch
        (["train", "--output", "there", "--resume"], "there", True),
        (["train", "--output", "new", "--resume"], "there", False),
        (["train", "--recipe", "quick", "--resume"], "runs/quick", True),
        (["prior", "there", "--resume"], "there/prior", True),
        (["prior", "there/model", "--resume"], "there/prior", True),
        (["prior", "there", "--resume"], "there", False),
    ],
)
def test_going_on_is_told_where_there_is_something_to_resume(taken_port, tmp_path, words, saved, told):
    (tmp_path / "there" / "model").mkdir(parents=True)
    (tmp_path / saved).mkdir(parents=True, exist_ok=True)
    (tmp_path / saved / "recipe.json").write_text("{}")
    command = ["launch", "--workers", "2", "--port", str(taken_port), "--", *words]
    result = run_python(*command, cwd=tmp_path)
    assert result.returncode == 2 and PORT_TAKEN.format(taken_port) in result.stderr.decode()
    hint = f"; resume with: {shlex.join(['vqvae', *command])}\n"
    assert result.stderr.decode().endswith(hint if told else "; give another with --port\n")


def test_an_error_of_the_workers_is_told_once(picture_folder, tmp_path):
    port = free_port()
    command = ["launch", "--workers", "3", "--port", port, "--", "train", "--data", picture_folder, *SMALL]
    result = run_python(*command, "--batch-size", "23", "--output", tmp_path / "run")  # two of 48 images are left over
    assert result.returncode == 2 and result.stderr.count(b"\n") == 1
    message = "the last of the batches of 23 from 48 images is smaller than the 3 workers: "
    message += "choose another batch size or fewer workers"
    assert re.fullmatch(f"vqvae: error: worker [012] ended with an error: {message}\n", result.stderr.decode())
    assert not (tmp_path / "run").exists()
    assert_nothing_is_left(port)


def test_a_dry_run_prints_what_starts_each_process():
    result = run_python("launch", "--workers", "2", "--port", "9092", "--dry-run", "--", "train", "--output", "a b")
    lines = [shlex.split(line) for line in result.stdout.decode().splitlines()]
    variables = [dict(word.split("=", 1) for word in line[1:] if word.startswith("DMLC_")) for line in lines]
    assert [one["DMLC_ROLE"] for one in variables] == ["scheduler", "server", "worker", "worker"]
    assert [one.get("DMLC_WORKER_ID") for one in variables] == [None, None, "0", "1"]
    common = {"DMLC_PS_ROOT_URI": "127.0.0.1", "DMLC_PS_ROOT_PORT": "9092", "DMLC_NUM_WORKER": "2"}
    assert all(common.items() <= one.items() for one in variables)
    serve = "from vqvae_gluon.runtime import leave_out_sklearn; leave_out_sklearn(); import mxnet"
    assert [line[-2:] for line in lines] == [["-c", serve]] * 2 + [["--output", "a b"]] * 2
