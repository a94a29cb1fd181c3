"""Join the parts of ``vqvae encode --shard`` into one file of codes; checks that they are complete and fit together."""
from contextlib import ExitStack
from typing import Dict, Iterator, List, Sequence

from ..errors import VQVAEError
from ..files import writing
from .codes_archive import Archived, CodesArchive, File, Shard, write_archive

_PIECE = 1 << 12  # images whose codes are in memory at once


def merge(parts: Sequence[File], output: File) -> int:
    """Write the codes of all parts, given in any order, to one file; return the number of images.

    The file is the same, byte for byte, as one from encoding all images at once.

    Raises
    ------
    VQVAEError
        If a part is missing or given twice, if a file is damaged or not a part, or if it belongs to other images or
        another model than the first one; ``output`` is then left as it was.
    """
    with ExitStack() as stack:
        archives = [stack.enter_context(CodesArchive(path)) for path in parts]
        archives = _in_order(archives)
        first = archives[0]
        count = sum(archive.count for archive in archives)
        with writing(output) as file:
            codes = (piece.tobytes() for archive in archives for piece in archive.codes(_PIECE))
            longest = max(len(name) for name in _names(archives)) if first.has_names else 0
            about = Archived(first.codebook, first.kind, count, first.codes_shape, codes, longest, _names(archives))
            write_archive(file, about)
    return count


def _names(archives: Sequence[CodesArchive]) -> Iterator[bytes]:
    for archive in archives:
        yield from archive.names(_PIECE)


def _in_order(archives: Sequence[CodesArchive]) -> List[CodesArchive]:
    """Return the parts in order; raise VQVAEError unless they are complete and belong together."""
    if not archives:
        raise VQVAEError("no part was given: give all files of one 'vqvae encode --shard'")
    first, one = archives[0], _part(archives[0])
    found: Dict[int, CodesArchive] = {}
    for archive in archives:
        part = _part(archive)
        if archive.codebook != first.codebook:
            raise VQVAEError(f"{archive.path}: was made with another model than {first.path}")
        same = (part[1:], archive.codes_shape, archive.kind, archive.has_names)
        if same != (one[1:], first.codes_shape, first.kind, first.has_names):
            raise VQVAEError(
                f"{archive.path}: is one of {part.count} parts of {part.images} images, {first.path} "
                f"one of {one.count} parts of {one.images}: they do not belong together"
            )
        if part.number in found:
            other = found[part.number].path
            raise VQVAEError(f"{archive.path} and {other} are both part {part.number} of {part.count}")
        found[part.number] = archive
    missing = [str(number) for number in range(1, one.count + 1) if number not in found]
    if missing:
        raise VQVAEError(f"of {one.count} parts these are missing: {', '.join(missing)}")
    return [found[number] for number in sorted(found)]


def _part(archive: CodesArchive) -> Shard:
    if archive.shard is None:
        raise VQVAEError(f"{archive.path}: is no part but whole: it was not made with --shard")
    return archive.shard
