"""The benchmarks of PyTorch, ONNX Runtime and vector-quantize-pytorch.

Runs in the environment of requirements.txt; run.py calls its functions through worker.py. Images enter as bytes and
leave as floats in [0, 1], as in vqvae_gluon.Predictor. OMP_NUM_THREADS sets the number of threads.
"""
import contextlib
import copy
import os

os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # no pool of compilers beside what is timed

from concurrent.futures import ThreadPoolExecutor  # noqa: E402
from functools import lru_cache  # noqa: E402
from importlib.metadata import version  # noqa: E402
from typing import Callable, Dict, Iterator, Tuple  # noqa: E402

import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402
import torch  # noqa: E402
import vector_quantize_pytorch  # noqa: E402
from timing import latencies, rate, seconds_until  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402
from torch_model import VQVAE, load_model, make_decoder, make_encoder  # noqa: E402
from torch_prior import Prior  # noqa: E402
from worker import serve  # noqa: E402

WEIGHTS, ONNX = "weights.pt", "model.onnx"
_THREADS = int(os.environ["OMP_NUM_THREADS"])
_EVALUATION_BATCH = 500

torch.set_num_threads(_THREADS)


def versions() -> Dict[str, str]:
    """Return the versions of the peers."""
    names = ("torch", "onnxruntime", "onnx", "vector-quantize-pytorch", "numpy")
    return {name: version(name) for name in names}


def prepare() -> Dict[str, Dict[str, float]]:
    """Make the PyTorch and the ONNX model from weights.npz, and check that both agree with ours.

    Returns, for each, the fraction of equal codes and the largest difference of a pixel in [0, 1].
    """
    torch.save(_state(dict(np.load("weights.npz"))), WEIGHTS)
    torch.onnx.export(
        load_model(WEIGHTS),
        (torch.zeros(1, 1, 28, 28),),
        ONNX,
        input_names=["images"],
        output_names=["reconstructions", "codes"],
        dynamic_axes={"images": {0: "N"}},
        dynamo=False,  # the other exporter needs further packages
    )
    images = _unit(np.load("golden-images.npy"))
    with torch.inference_mode():
        outputs = {"torch": [output.numpy() for output in load_model(WEIGHTS)(torch.from_numpy(images))]}
    outputs["onnx"] = _session(_THREADS).run(None, {"images": images})
    _check_prior()
    return {name: _agreement(*output) for name, output in outputs.items()}


@torch.inference_mode()
def _check_prior() -> None:
    """Raise RuntimeError unless the prior needs the same number of bits as ours for each of some images."""
    golden = np.load("prior-golden.npz")
    codes, labels = (torch.from_numpy(golden[name]) for name in ("codes", "labels"))
    nats = F.cross_entropy(_prior()(codes, labels).transpose(1, 2), codes, reduction="none").sum(1)
    difference = np.abs(nats.numpy() / np.log(2) - golden["bits"]).max()
    if difference > 0.01:
        raise RuntimeError(f"the peer's prior is not ours: its bits differ by {difference}")


@lru_cache(maxsize=None)
def _prior() -> Prior:
    """Return the prior of prior.npz. The exported weights contain scales that PyTorch's functions apply themselves."""
    arrays = dict(np.load("prior.npz"))
    sizes = [int(arrays.pop(name)) for name in ("num_embeddings", "places", "num_classes", "width", "layers", "heads")]
    prior, width, heads = Prior(*sizes), sizes[3], sizes[5]
    state = {}
    for name, array in arrays.items():
        words = name.removeprefix("prior_").split("_")
        scaled = words[-1] == "weight" and words[-2] in ("projection", "hidden", "logits")
        array = array / width**0.5 if scaled else array.copy()
        if "projection" in words:
            array[:width] *= (width / heads) ** 0.5
        if words[0].startswith("layer"):
            words[0] = f"layers.{words[0].removeprefix('layer')}"
        state[".".join(words)] = torch.as_tensor(array, dtype=torch.float32)
    prior.load_state_dict(state)
    return prior


def train_prior(batch: int, images: int, dropout: float = 0.1, no_class: float = 0.2) -> Dict[str, float]:
    """Return images/s of one pass over training codes; an incomplete last batch is left out."""
    count = images // batch * batch
    prior, optimizer = _prior_training()
    arrays = np.load("prior-train.npz")
    codes, labels = (torch.from_numpy(arrays[name][:count]) for name in ("codes", "labels"))

    def steps() -> None:
        for chosen in torch.randperm(count).split(batch):
            dropped = torch.rand(batch) < no_class
            logits = prior(codes[chosen], labels[chosen].masked_fill(dropped, 10), dropout)
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(logits.transpose(1, 2), codes[chosen]).backward()
            optimizer.step()

    return rate(steps, count)


@lru_cache(maxsize=None)
def _prior_training() -> Tuple[Prior, torch.optim.Optimizer]:
    prior = copy.deepcopy(_prior())
    return prior, torch.optim.Adam(prior.parameters(), lr=2e-3, fused=True)


def generate(images: int, threads: int, count: int) -> Dict[str, float]:
    """Return percentiles of the milliseconds for sampling the codes of ``count`` images, over ``images`` runs."""
    prior = _prior()
    with _torch_threads(threads):
        return latencies(lambda i: prior.sample(torch.full((count,), i % 10)), images)


def _state(arrays: Dict[str, np.ndarray]) -> Dict[str, Tensor]:
    """Return the state of a torch model from MXNet's parameters; all weights have the same layout in both."""
    state = VQVAE().state_dict()
    state["codebook"] = arrays["vectorquantize0_embeddings"]
    for layer in range(3):
        for kind in ("weight", "bias"):
            # Activations stand between the layers.
            state[f"encoder.{2 * layer}.{kind}"] = arrays[f"encoder_conv{layer}_{kind}"]
            state[f"decoder.{2 * layer}.{kind}"] = arrays[f"decoder_upconvolution{layer}_{kind}"]
    return {name: torch.as_tensor(array) for name, array in state.items()}


def _agreement(reconstructions: np.ndarray, codes: np.ndarray) -> Dict[str, float]:
    same = codes == np.load("golden-codes.npy")
    comparable = same.all(axis=(1, 2))  # one other code changes many pixels
    differences = np.abs(reconstructions - np.load("golden-reconstructions.npy"))[comparable]
    result = {"codes": float(same.mean()), "difference": float(differences.max())}
    if result["codes"] <= 0.999 or result["difference"] >= 1e-4:
        raise RuntimeError(f"a peer does not reconstruct as we do: {result}")
    return result


def train(kind: str, batch: int, channels_last: bool, images: int) -> Dict[str, float]:
    """Return images/s of one pass of :func:`_training` over training images, without an incomplete last batch."""
    count = images // batch * batch
    steps = _training(kind, batch, channels_last)
    return rate(lambda: steps(_images("train")[torch.randperm(count)], batch), count)


@lru_cache(maxsize=None)
def _training(kind: str, batch: int, channels_last: bool) -> "Steps":
    """Return the training of a ``kind``, 'eager', 'compile' or 'vqp' (vector-quantize-pytorch), kept between calls."""
    model = VectorQuantizePytorch() if kind == "vqp" else VQVAE()
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
    loss = torch.compile(model.loss, dynamic=False) if kind == "compile" else model.loss
    return Steps(loss, model, learning_rate=4e-3, updates=10_000)


class Steps:
    """Adam with cosine decay over ``updates``, on a function from images to the loss and the MSE."""

    def __init__(
        self, loss: Callable[[Tensor], Tuple[Tensor, Tensor]], model: nn.Module, learning_rate: float, updates: int
    ) -> None:
        self._loss = loss
        self._optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate, fused=True)
        self._schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self._optimizer, updates)

    def __call__(self, images: Tensor, batch: int) -> float:
        """Train on images in the given order and return their MSE per pixel."""
        total = torch.zeros(())
        pieces = images.split(batch)
        for piece in pieces:
            self._optimizer.zero_grad(set_to_none=True)
            loss, mse = self._loss(piece)
            loss.backward()
            self._optimizer.step()
            self._schedule.step()
            total += mse
        return total.item() / len(pieces)


def bulk_torch(batch: int, channels_last: bool, images: int, callers: int = 1) -> Dict[str, float]:
    """Return images/s of reconstructing test images, a part by each of several callers that share the threads."""
    model, pixels = _predictor(channels_last), _bytes("test")[:images]
    result = np.empty(pixels.shape, np.float32)

    @torch.inference_mode()
    def reconstruct(part: slice) -> None:
        sources, places = (torch.from_numpy(array[part]).split(batch) for array in (pixels, result))
        for source, place in zip(sources, places):
            place.copy_(model(source / 255)[0])

    with _torch_threads(max(1, _THREADS // callers)):
        return rate(lambda: _share(reconstruct, images, callers), images)


def bulk_onnx(batch: int, images: int, callers: int = 1) -> Dict[str, float]:
    """Return images/s of reconstructing test images, a part by each of several callers that share the threads."""
    session, pixels = _session(max(1, _THREADS // callers)), _bytes("test")[:images]
    result = np.empty(pixels.shape, np.float32)

    def reconstruct(part: slice) -> None:
        for start in range(part.start, part.stop, batch):
            piece = slice(start, min(start + batch, part.stop))
            result[piece] = session.run(["reconstructions"], {"images": _unit(pixels[piece])})[0]

    return rate(lambda: _share(reconstruct, images, callers), images)


def _share(work: Callable[[slice], None], images: int, callers: int) -> None:
    """Do some work on equal parts of images, each part in its own thread."""
    parts = [slice(images * i // callers, images * (i + 1) // callers) for i in range(callers)]
    with ThreadPoolExecutor(callers) as pool:
        list(pool.map(work, parts))


@torch.inference_mode()
def latency_torch(channels_last: bool, images: int, threads: int) -> Dict[str, float]:
    """Return percentiles of the milliseconds for test images, one at a time."""
    model, pixels = _predictor(channels_last), _bytes("test")
    with _torch_threads(threads):
        return latencies(lambda i: model(torch.from_numpy(pixels[i : i + 1]) / 255)[0].numpy(), images)


@contextlib.contextmanager
def _torch_threads(count: int) -> Iterator[None]:
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(_THREADS)


def latency_onnx(images: int, threads: int) -> Dict[str, float]:
    """Return percentiles of the milliseconds for test images, one at a time."""
    session, pixels = _session(threads), _bytes("test")
    return latencies(lambda i: session.run(["reconstructions"], {"images": _unit(pixels[i : i + 1])}), images)


@lru_cache(maxsize=None)
def _predictor(channels_last: bool) -> VQVAE:
    model = load_model(WEIGHTS)
    return model.to(memory_format=torch.channels_last) if channels_last else model


@lru_cache(maxsize=None)
def _session(threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(ONNX, options, providers=["CPUExecutionProvider"])


class VectorQuantizePytorch(nn.Module):
    """The model with vector-quantize-pytorch's quantizer."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = make_encoder(), make_decoder()
        self.quantizer = vector_quantize_pytorch.VectorQuantize(
            dim=16,
            codebook_size=64,
            decay=0.99,
            kmeans_init=True,
            threshold_ema_dead_code=2,
            rotation_trick=False,  # with it, the default, the MSE stays above 0.01 (adam 1e-3 and 2e-3, 8 epochs)
            accept_image_fmap=True,
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return the reconstructions of images."""
        return self.decoder(self.quantizer(self.encoder(images))[0])

    def loss(self, images: Tensor) -> Tuple[Tensor, Tensor]:
        """Return the loss, in which both terms are means, and the MSE per pixel; update the codebook."""
        quantized, _, commitment = self.quantizer(self.encoder(images))
        mse = F.mse_loss(self.decoder(quantized), images)
        return mse + commitment.sum(), mse.detach()


def reach(
    target: float,
    learning_rate: float,
    epochs: int,
    batch: int,
    channels_last: bool,
    seed: int,
    training: int,
    validation: int,
    stretch: int,
) -> Dict[str, float]:
    """Return the seconds until a validation MSE is reached by a recipe with cosine decay over ``epochs``.

    ``training`` and ``validation`` are numbers of images of these splits, ``stretch`` the number between two checks.
    """
    images, held_out = _images("train"), _images("validation")[:validation]

    def stretches() -> Iterator[Tuple[nn.Module, float]]:
        torch.manual_seed(seed)
        model = VectorQuantizePytorch()
        if channels_last:
            model = model.to(memory_format=torch.channels_last)
        steps = Steps(model.loss, model, learning_rate, epochs * -(-training // batch))
        for _ in range(epochs):
            for chosen in torch.randperm(training).split(stretch // batch * batch):
                yield model, steps(images[chosen], batch)

    return seconds_until(target, stretches(), lambda model: _validate(model, held_out))


@torch.inference_mode()
def _validate(model: nn.Module, images: Tensor) -> float:
    model.eval()
    total = sum(F.mse_loss(model(piece), piece, reduction="sum").item() for piece in images.split(_EVALUATION_BATCH))
    model.train()
    return total / images.numel()


@lru_cache(maxsize=None)
def _bytes(split: str) -> np.ndarray:
    return np.load(f"{split}.npy")


@lru_cache(maxsize=None)
def _images(split: str) -> Tensor:
    return torch.from_numpy(_unit(_bytes(split)))


def _unit(pixels: np.ndarray) -> np.ndarray:
    return pixels.astype(np.float32) / np.float32(255)


if __name__ == "__main__":
    serve(versions, prepare, train, bulk_torch, bulk_onnx, latency_torch, latency_onnx, reach, train_prior, generate)
