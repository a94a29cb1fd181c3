"""The Python environment of the peers, separate from the package's own."""
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PEERS = HERE / ".peers"


def make_peers() -> Path:
    """Return the Python of the peers' environment, which is created anew if it does not match requirements.txt."""
    wanted, stamp, python = HERE / "requirements.txt", PEERS / "installed.txt", PEERS / "bin" / "python"
    if not stamp.exists() or stamp.read_text() != wanted.read_text():
        print(f"installing the peers into {PEERS.relative_to(HERE.parent)}", flush=True)
        shutil.rmtree(PEERS, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(PEERS)], check=True)
        (PEERS / ".gitignore").write_text("*\n")
        subprocess.run([str(python), "-m", "pip", "install", "-qq", "-r", str(wanted)], check=True)
        stamp.write_text(wanted.read_text())
    return python
