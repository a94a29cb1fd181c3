"""Encode many images on a Dask cluster: each task is a part, as `vqvae encode --shard` makes it.

    pip install 'vqvae-gluon[dask]'
    python dask_encode.py IMAGES CODES.npz [--scheduler tcp://host:8786] [--parts 16] [--model DIR]

Without a scheduler it starts workers on this machine, one per core. IMAGES (a folder or an .npy array) and the folder
of CODES.npz must be the same files for all workers. If a worker dies, only the part it was encoding is lost, and
another worker encodes it again. The result is the same, byte for byte, as that of `vqvae encode IMAGES -o CODES.npz`.
"""
import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Optional

from distributed import Client, as_completed

from vqvae_gluon import VQVAEError


def encode_part(source: str, output: str, number: int, count: int, model: Optional[str]) -> str:
    """Encode one part to a file, unless an earlier attempt has done so; return its path. Runs in a worker."""
    from vqvae_gluon import Predictor
    from vqvae_gluon.deploy.bulk import encode_to_file

    if not os.path.exists(output):  # a file appears only once it is complete
        encode_to_file(Predictor(model), source, output, (number, count))
    return output


def encode(client: Client, source: str, output: str, count: int, model: Optional[str] = None) -> int:
    """Encode ``count`` parts of a source with the workers of a cluster and merge them; return the number of images.

    Raises VQVAEError for the same reasons as :func:`vqvae_gluon.deploy.bulk.encode_to_file` and
    :func:`vqvae_gluon.deploy.merge.merge`.
    """
    from vqvae_gluon.deploy.merge import merge

    source, output = os.path.abspath(source), os.path.abspath(output)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(output), prefix=".parts-") as folder:
        paths = [str(Path(folder, f"{number}.npz")) for number in range(1, count + 1)]
        tasks = [
            client.submit(encode_part, source, path, number, count, model, pure=False)
            for number, path in enumerate(paths, 1)
        ]
        for done in as_completed(tasks):
            done.result()  # an error in a task is raised here
        return merge(paths, output)


def main() -> None:
    """Encode the images that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", metavar="IMAGES", help="a folder of images, or an .npy array")
    parser.add_argument("output", metavar="CODES.npz")
    parser.add_argument("--scheduler", help="address of a running cluster (default: workers on this machine)")
    parser.add_argument("--parts", type=int, default=16, help="tasks; more than workers, so that none waits long")
    parser.add_argument("--model", metavar="DIR", help="default: the pre-trained model")
    options = parser.parse_args()
    settings = {} if options.scheduler else {"threads_per_worker": 1}
    with Client(options.scheduler, **settings) as client:
        count = encode(client, options.source, options.output, options.parts, options.model)
    print(f"{options.output}: codes of {count} images")


if __name__ == "__main__":
    try:
        main()
    except VQVAEError as error:
        sys.exit(f"dask_encode.py: error: {error}")
