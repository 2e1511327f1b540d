"""``legoexport web``: build a page that runs a file in the browser, or serve one."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from legoexport.commands.recorded_options import labels_option, mean_option, std_option
from legoexport.errors import UsageError
from legoexport.host.report import format_bytes, print_json, print_text, step_progress
from legoexport.web.pixels import Pixels
from legoexport.web.server import DEFAULT_PORT, LOOPBACK, LOOPBACK_HOSTS, address, make_server
from legoexport.web.site import Site, SiteOptions, build_site

# A phone's connection of the third generation, as browsers' own tools imitate it.
SLOW_BITS_PER_S = 1.6e6
USAGE = "web MODEL.onnx --out DIR, or web --serve DIR"


@click.command("web")
@click.argument("model", required=False, metavar="[MODEL.onnx]", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Write the page here.")
@click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Let the page prove the model with this bundle, written by verify --save-bundle.",
)
@labels_option
@mean_option
@std_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON about the page written.")
@click.option(
    "--serve",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Serve a page that was written before.",
)
@click.option(
    "--host",
    show_default=f"{LOOPBACK}, which only this machine reaches",
    help="Address to serve at.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    show_default=str(DEFAULT_PORT),
    help="Port to serve at; 0 takes any free one.",
)
def command(
    model: Path | None,
    out: Path | None,
    bundle: Path | None,
    labels: Path | None,
    mean: str | None,
    std: str | None,
    serve: Path | None,
    host: str | None,
    port: int | None,
    *,
    as_json: bool,
) -> None:
    """Build a page that classifies images with MODEL.onnx, proves it and measures it.

    The page is static and loads nothing from elsewhere. It runs the file on WebAssembly, with
    threads if the browser allows them, and on WebGPU if there is one. It repeats the check of the
    parity bundle on the device and says if the numbers are wrong.
    """
    building = (model, out, bundle, labels, mean, std, as_json or None)
    serving = (serve, host, port)
    if serve is not None and building == (None,) * len(building):
        _serve(serve, host or LOOPBACK, DEFAULT_PORT if port is None else port)
    elif model is not None and out is not None and serving == (None,) * len(serving):
        with step_progress() as progress:
            progress("building the page; the first one fetches and compresses its runtime")
            site = build_site(out, SiteOptions(model, bundle, labels, mean, std))
        _print(site, as_json=as_json)
    else:
        raise UsageError("web builds a page or serves one", legal=USAGE)


def _print(site: Site, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "folder": str(site.folder),
                "size_bytes": site.size_bytes,
                "first_answer_bytes": site.first_answer_bytes,
                "first_answer_slow_s": _slow_s(site),
                "model_sha256": site.model_sha256,
                "parity_images_count": site.images_count,
                "pixels_stated": site.pixels.stated,
                "pixels_source": site.pixels.source,
                "pixels": asdict(site.pixels.normalization),
                "class_names": site.labels,
            }
        )
        return
    print_text(f"wrote {site.folder}: {format_bytes(site.size_bytes)}, with onnxruntime-web")
    print_text(
        f"a first visit loads {format_bytes(site.first_answer_bytes)} until the page answers:"
        f" {_slow_s(site):.0f} s at {SLOW_BITS_PER_S / 1e6} Mbit/s"
    )
    if site.images_count:
        print_text(f"the page proves the model on {site.images_count} images of the bundle")
    else:
        print_text("note: without --bundle the page cannot prove its numbers, and says so")
    print_text(_pixels_line(site.pixels))
    if not site.labels:
        print_text("note: nobody named the classes, so the page numbers them; see --labels")
    print_text(f"next: legoexport web --serve {site.folder}")


def _slow_s(site: Site) -> float:
    return 8 * site.first_answer_bytes / SLOW_BITS_PER_S


def _pixels_line(pixels: Pixels) -> str:
    if not pixels.stated:
        return (
            "note: the file does not say how training normalised its pictures, so the page scales"
            " them to [-1, 1]; state --mean and --std if training did otherwise"
        )
    mean, std = (
        ",".join(f"{x:.4g}" for x in each)
        for each in (pixels.normalization.mean, pixels.normalization.std)
    )
    where = "the file records" if pixels.source == "file" else "the options say"
    return f"pictures are normalised as {where}: mean {mean}, std {std}"


def _serve(folder: Path, host: str, port: int) -> None:
    with make_server(folder, host, port) as server:
        print_text(f"serving {folder} at {address(server)} until Ctrl-C")
        if host not in LOOPBACK_HOSTS:
            print_text("note: everyone who reaches this address can open the page")
            print_text(
                "note: over plain HTTP from elsewhere browsers give one thread and no WebGPU;"
                " see docs/mobile.md"
            )
        # Flush also into a pipe, whose reader waits for the address.
        sys.stdout.flush()
        server.serve_forever()
