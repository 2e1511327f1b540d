"""A site: the page, onnxruntime-web, the model, and the golden data that proves it there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from legoexport.classify.labels import read_labels
from legoexport.errors import ParityFailed, UsageError
from legoexport.lego.output_form import SCORES
from legoexport.parity.bundle import read_bundle, replay
from legoexport.parity.integer.replay import open_to_replay
from legoexport.parity.judge import combine
from legoexport.web.encodings import GZIP_SUFFIX, compress, transferred_bytes, with_variants
from legoexport.web.folder import FORMAT, RECORD_FILE, check_replaceable, write_folder
from legoexport.web.golden import GoldenData, pack
from legoexport.web.offline import WORKER_FILE, own_digests, runtime_digests, service_worker
from legoexport.web.packages import (
    RUNTIME_FILES,
    WASM_FILES,
    WEBGPU_BINARY,
    runtime_folder,
    runtime_version,
)
from legoexport.web.page_model import PageModel, read_model
from legoexport.web.pixels import Pixels, read_pixels

FORMAT_VERSION = 1
PAGE = Path(__file__).with_name("page")
MODEL_FILE = "model.onnx"
GOLDEN_FILE = "parity.bin"
RUNTIME_FOLDER = "ort"


@dataclass(frozen=True)
class SiteOptions:
    """What a page is built from, as the user names it.

    Attributes:
        model: The ONNX file.
        bundle: A parity bundle for it. With None the page says that nothing is proved.
        labels: A file with the name of each class; None to take what the model says.
        mean: ``--mean`` as given, or None.
        std: ``--std`` as given, or None.
    """

    model: Path
    bundle: Path | None = None
    labels: Path | None = None
    mean: str | None = None
    std: str | None = None


@dataclass(frozen=True)
class Site:
    """What was written.

    Attributes:
        folder: The folder.
        size_bytes: Size of all files.
        first_answer_bytes: What a browser loads before the page answers, compressed as well as the
            site can.
        model_sha256: Digest of the model.
        images_count: Images that the page proves the model on; 0 without a bundle.
        pixels: How the page prepares a picture.
        labels: Name of each class that the page shows; none if nobody knows.
    """

    folder: Path
    size_bytes: int
    first_answer_bytes: int
    model_sha256: str
    images_count: int
    pixels: Pixels
    labels: tuple[str, ...]


def build_site(folder: Path, options: SiteOptions) -> Site:
    """Write a site that works from any static server, offline.

    Raises:
        UsageError: A file is unreadable or does not fit, npm is missing, or ``folder`` is taken.
        ParityFailed: The bundle is for another model, or the model does not reach it on this
            machine.
    """
    check_replaceable(folder)
    model = read_model(options.model)
    count = model.classes_count
    labels = read_labels(options.labels, count) if options.labels else model.facts.names_of(count)
    if model.takes_pixels and (options.mean, options.std) != (None, None):
        raise UsageError(
            f"{model.name} takes pixels and normalises them itself",
            received="--mean or --std",
            next_step="leave them out",
        )
    pixels = read_pixels(options.mean, options.std, model.input_shape[0], model.facts.normalization)
    golden = _golden(options.bundle, model) if options.bundle else None
    files = _files(_record(model, labels, pixels, golden), model, golden)
    write_folder(folder, files)
    sizes_bytes = {name: _size_bytes(content) for name, content in files.items()}
    return Site(
        folder=folder,
        size_bytes=sum(sizes_bytes.values()),
        first_answer_bytes=_first_answer_bytes(sizes_bytes),
        model_sha256=model.sha256,
        images_count=_count_images(golden),
        pixels=pixels,
        labels=labels,
    )


def _golden(bundle: Path, model: PageModel) -> GoldenData:
    """Read the bundle, and refuse a model that this machine already computes wrong."""
    sets = read_bundle(bundle, model.model_bytes)
    agreement = combine(replay(sets, open_to_replay(model.model_bytes, 1)))
    if not agreement.passed:
        raise ParityFailed(
            "the model does not give the golden outputs of the bundle on this machine",
            received=agreement,
            next_step="find out why with legoexport verify",
        )
    return pack(sets, GOLDEN_FILE)


def _count_images(golden: GoldenData | None) -> int:
    sets = golden.description["sets"] if golden else []
    return sum(one["images"]["shape"][0] for one in sets)


def _files(
    record: dict[str, Any], model: PageModel, golden: GoldenData | None
) -> dict[str, bytes | Path]:
    """All files of a site; last come those that tell of others."""
    runtime = runtime_folder()
    own = {path.name: path.read_bytes() for path in sorted(PAGE.iterdir()) if path.is_file()}
    template = own.pop(WORKER_FILE)
    own[MODEL_FILE] = model.model_bytes
    if golden:
        own[GOLDEN_FILE] = golden.content
    files: dict[str, bytes | Path] = {
        **with_variants(own),
        **{_in_runtime(name): runtime / name for name in RUNTIME_FILES},
    }
    digests = own_digests(own) | {
        _in_runtime(name): digest for name, digest in runtime_digests(runtime).items()
    }
    description = _describe(record, digests, [*files])
    last = {RECORD_FILE: description, WORKER_FILE: service_worker(template, description)}
    return {**files, **last, **{n + GZIP_SUFFIX: compress(content) for n, content in last.items()}}


def _describe(record: dict[str, Any], digests: dict[str, str], files: list[str]) -> bytes:
    last = (RECORD_FILE, WORKER_FILE)
    described = {
        **record,
        "digests": digests,
        # What the device does not keep before somebody uses it.
        "on_demand": [_in_runtime(WEBGPU_BINARY)],
        "files": sorted([*files, *last, *(name + GZIP_SUFFIX for name in last)]),
    }
    return (json.dumps(described, indent=2, allow_nan=False) + "\n").encode()


def _in_runtime(name: str) -> str:
    return f"{RUNTIME_FOLDER}/{name}"


def _size_bytes(content: bytes | Path) -> int:
    return content.stat().st_size if isinstance(content, Path) else len(content)


def _first_answer_bytes(sizes_bytes: Mapping[str, int]) -> int:
    """Sum up the page, the runtime for WebAssembly, the model, and what proves it."""
    page = (path.name for path in PAGE.iterdir() if path.is_file() and path.name != WORKER_FILE)
    runtime = map(_in_runtime, WASM_FILES)
    golden = [GOLDEN_FILE] if GOLDEN_FILE in sizes_bytes else []
    loaded = (*page, *runtime, RECORD_FILE, MODEL_FILE, *golden)
    return sum(transferred_bytes(sizes_bytes, name) for name in loaded)


def _record(
    model: PageModel,
    labels: tuple[str, ...],
    pixels: Pixels,
    golden: GoldenData | None,
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "runtime_version": runtime_version(),
        "model": {
            "file": MODEL_FILE,
            "name": model.name,
            "size_bytes": len(model.model_bytes),
            "sha256": model.sha256,
            "input_name": model.input_name,
            "output_name": model.output_name,
            "indices_name": model.indices_name,
            "input_shape": list(model.input_shape),
            "takes_pixels": model.takes_pixels,
            "gives_probabilities": model.facts.output != SCORES,
            "fixed_batch_size": model.fixed_batch_size,
            "classes_count": model.classes_count,
        },
        "labels": list(labels),
        "pixels": {**asdict(pixels.normalization), "stated": pixels.stated},
        "parity": golden.description if golden else None,
    }
