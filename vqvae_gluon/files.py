"""Read and write files so that a failure gives a one-sentence error and loses no data."""
import contextlib
import fcntl
import hashlib
import json
import os
import stat
import struct
import tempfile
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO, Iterator, Union

from .errors import VQVAEError
from .runtime import stop_if_asked

_LONGEST = 1 << 28  # bytes read at most from a pipe or a device, which may never end

#: The exceptions that NumPy, zipfile and zlib raise for a damaged file.
DAMAGES = (
    *(ValueError, KeyError, TypeError, AttributeError, OSError, EOFError, RuntimeError, NotImplementedError),
    *(OverflowError, MemoryError, SyntaxError, struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)


def read_bytes(path: Union[str, Path]) -> bytes:
    """Return the content of a file; raise VQVAEError if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return read_stream(path, file)
    except FileNotFoundError:
        raise VQVAEError(f"{path}: no such file") from None
    except OSError as error:
        raise VQVAEError(f"{path}: cannot be read ({error.strerror})") from None


def read_stream(name: Union[str, Path], file: BinaryIO) -> bytes:
    """Return the rest of an open file, ``name`` in errors; raise VQVAEError for a pipe that does not end."""
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file.read()
    content = file.read(_LONGEST + 1)
    if len(content) > _LONGEST:
        raise VQVAEError(f"{name}: gives more than {_LONGEST} bytes; give a file or a pipe that ends")
    return content


def write_bytes(path: Union[str, Path], content: bytes) -> None:
    """Write a file, keeping the old one on failure; raise VQVAEError if it cannot be written."""
    with writing(path) as file:
        file.write(content)


@contextlib.contextmanager
def writing(path: Union[str, Path]) -> Iterator[BinaryIO]:
    """Yield a file to write to, which replaces ``path`` once it is complete.

    If the block fails, the old file stays. Raises VQVAEError if the file cannot be written.
    """
    target = Path(os.path.realpath(path))
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            with open(path, "wb") as file:
                yield file  # a device or a pipe: it must not be replaced by a file
            return
        handle, temporary = tempfile.mkstemp(dir=str(target.parent), prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(temporary, 0o666 & ~mask)  # mkstemp makes private files
            os.replace(temporary, target)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise VQVAEError(f"{path}: cannot be written ({error.strerror})") from None


@contextlib.contextmanager
def new_folder(path: Union[str, Path]) -> Iterator[Path]:
    """Yield a folder to fill, which becomes ``path``, a new or an empty folder, once it is complete.

    If the block fails, nothing is left behind. Raises VQVAEError if ``path`` is already in use or cannot be written.
    """
    if not str(path):
        raise VQVAEError("the name of the folder to write is empty: give a new or an empty folder")
    folder = Path(path).resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise VQVAEError(f"{path}: is there already; give a new or an empty folder")
    try:
        with tempfile.TemporaryDirectory(dir=str(folder.parent), prefix=".writing-") as temporary:
            staged = Path(temporary) / "folder"
            staged.mkdir()
            yield staged
            stop_if_asked()
            if folder.exists():
                folder.rmdir()
            staged.rename(folder)
    except OSError as error:
        raise VQVAEError(f"{path}: cannot be written ({error.strerror})") from None


@contextlib.contextmanager
def locked(folder: Union[str, Path]) -> Iterator[None]:
    """Hold an exclusive lock on a folder; raise VQVAEError if another process holds it.

    The lock leaves no file behind and is released when the process ends, however it ends.
    """
    handle = os.open(str(folder), os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise VQVAEError(f"{folder}: another process is training there; wait for it or choose another folder") from None
    finally:
        os.close(handle)


def parse_json(source: Union[str, Path], content: Union[str, bytes]) -> Any:
    """Return the value of JSON text; raise VQVAEError, naming its ``source``, if it is invalid or nested too deeply."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise VQVAEError(f"{source}: is damaged or no JSON") from None


def sha256(path: Union[str, Path]) -> str:
    """Return the SHA-256 of a file in hexadecimal; raise VQVAEError if it cannot be read."""
    return hashlib.sha256(read_bytes(path)).hexdigest()


def shipped_folder(in_checkout: str, in_package: str) -> Path:
    """Return a folder that is beside the package in a checkout, and inside it in an installation."""
    package = Path(__file__).resolve().parent
    return package / in_package if (package / in_package).is_dir() else package.parent / in_checkout
