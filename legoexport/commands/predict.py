"""``legoexport predict``: pictures to classes, by an ONNX file and what it says of itself."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from legoexport.classify.classifier import Classifier, open_classifier
from legoexport.classify.labels import read_labels
from legoexport.classify.predict import Prediction, predict
from legoexport.commands.recorded_options import labels_option, mean_option, std_option
from legoexport.commands.thread_options import THREADS
from legoexport.errors import UsageError
from legoexport.host.report import print_json, print_table, step_progress
from legoexport.lego.normalization import Normalization
from legoexport.web.pixels import read_pixels

COLUMNS = ("picture", "class", "probability")


@click.command("predict")
@click.argument("model", metavar="MODEL.onnx", type=click.Path(path_type=Path))
@click.argument(
    "pictures", nargs=-1, required=True, metavar="PICTURE...", type=click.Path(path_type=Path)
)
@click.option(
    "--top", default=5, type=click.IntRange(min=1), metavar="N", help="Classes of each picture."
)
@labels_option
@mean_option
@std_option
@click.option("--threads", default=1, type=THREADS, help="Threads of ONNX Runtime.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def command(
    model: Path,
    pictures: tuple[Path, ...],
    top: int,
    labels: Path | None,
    mean: str | None,
    std: str | None,
    threads: int,
    *,
    as_json: bool,
) -> None:
    """Print the likeliest classes of each PICTURE, and their probabilities.

    Pictures are decoded, cropped, scaled and normalised as in training, by what the file says of
    itself. It needs neither the checkpoint nor PyTorch.
    """
    with step_progress() as progress:
        progress("opening the model")
        classifier = open_classifier(model, threads)
        normalization = _normalization(classifier, mean, std)
        count = classifier.classes_count
        names = read_labels(labels, count) if labels else classifier.facts.names_of(count)
        progress("classifying")
        found = list(predict(classifier, pictures, normalization, names, top))
    if as_json:
        print_json({"model": str(model), "pictures": [_as_json(one) for one in found]})
    else:
        print_table(
            f"Classes by {model.name}", COLUMNS, [row for one in found for row in _rows(one)]
        )


def _normalization(classifier: Classifier, mean: str | None, std: str | None) -> Normalization:
    """Return what the options say, else what the file does; nothing is assumed.

    Raises:
        UsageError: Nobody says it, or it does not fit the network.
    """
    channels, *_ = classifier.runtime.image_shape
    if classifier.facts.pixels is not None and (mean, std) != (None, None):
        raise UsageError(
            f"{classifier.name} takes pixels and normalises them itself",
            received="--mean or --std",
            next_step="leave them out",
        )
    pixels = read_pixels(mean, std, channels, classifier.facts.normalization)
    if not pixels.stated:
        raise UsageError(
            f"{classifier.name} does not say how training normalised its pictures",
            legal="--mean and --std, of colours in [0, 1]",
            next_step="state them, or convert the checkpoint again with --mean and --std",
        )
    return pixels.normalization


def _as_json(one: Prediction) -> dict[str, object]:
    return {"picture": str(one.picture), "classes": [asdict(guess) for guess in one.guesses]}


def _rows(one: Prediction) -> list[tuple[str, str, str]]:
    """Name the picture once."""
    return [
        ("" if place else str(one.picture), guess.name, f"{guess.probability:.1%}")
        for place, guess in enumerate(one.guesses)
    ]
