"""``legoexport doctor``: known trouble of a file on a target, and what a bug report has to tell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from legoexport.errors import UsageError
from legoexport.host.processor import this_processor
from legoexport.host.reading import read_bytes
from legoexport.host.report import print_json, print_text
from legoexport.target import TARGETS, find_target

if TYPE_CHECKING:
    import onnx

    from legoexport.doctor.cases import Version
    from legoexport.doctor.examine import Finding
    from legoexport.target import Target

NAMES_COUNT = 3
WRONG_NUMBERS_CODE = 1


@click.command("doctor")
@click.argument("model", type=click.Path(path_type=Path), required=False)
@click.option(
    "--target",
    "target_name",
    show_default="the one it was converted for",
    help=f"Where it is to run: {', '.join(TARGETS)}.",
)
@click.option(
    "--runtime-version",
    metavar="X.Y.Z",
    show_default="the onnxruntime installed here, or the newest of another engine",
    help="Version of the engine that is to run it.",
)
@click.option(
    "--engine",
    default="onnxruntime",
    show_default=True,
    help="What is to run it; docs/engines.md names those that have cases.",
)
@click.option("--no-sme", is_flag=True, help="The CPU has no Scalable Matrix Extension.")
@click.option("--vnni", is_flag=True, help="Every x86 CPU that is to run it has VNNI.")
@click.option(
    "--report", "as_report", is_flag=True, help="Describe this machine for a bug report; no MODEL."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@click.pass_context
def command(
    context: click.Context,
    model: Path | None,
    target_name: str | None,
    runtime_version: str | None,
    engine: str,
    *,
    no_sme: bool,
    vnni: bool,
    as_report: bool,
    as_json: bool,
) -> None:
    """Look for known trouble with the ONNX file MODEL on a target and a version of an engine.

    The exit code is 1 if something would give wrong numbers, and 0 otherwise. With --report and no
    MODEL, print what a bug report has to tell: machine, versions, providers and packages. With
    neither, print what this processor has for files in int8, and the target that fits it.
    """
    if as_report:
        from legoexport.commands.doctor_report import print_report

        _refuse_beside_report(model, target_name, runtime_version, told=no_sme or vnni)
        print_report(as_json=as_json)
        return
    if model is None:
        _print_processor(as_json=as_json, told=no_sme or vnni or bool(target_name))
        return
    from legoexport.doctor.cases import format_version
    from legoexport.doctor.examine import examine, gives_wrong_numbers

    version = _version(engine, runtime_version)
    content = _read(model)
    target = _target(content, target_name)
    findings = examine(content, target, version, engine=engine, has_sme=not no_sme, has_vnni=vnni)
    wrong = gives_wrong_numbers(findings)
    if as_json:
        print_json(
            {
                "model": str(model),
                "target": target.name,
                "engine": engine,
                "runtime_version": format_version(version),
                "wrong_numbers": wrong,
                "findings": [finding.to_json() for finding in findings],
            }
        )
    else:
        where = f"on target {target.name} with {engine} {format_version(version)}"
        _print(model, where, findings)
    context.exit(WRONG_NUMBERS_CODE if wrong else 0)


def _version(engine: str, told: str | None) -> Version:
    from legoexport.doctor.cases import NEWEST, ONNXRUNTIME, known_engines, parse_version

    if engine not in known_engines():
        raise UsageError.unknown("engine", engine, known_engines())
    if told:
        return parse_version(told)
    if engine != ONNXRUNTIME:
        return NEWEST
    import onnxruntime

    return parse_version(onnxruntime.__version__)


def _print_processor(*, as_json: bool, told: bool) -> None:
    if told:
        raise UsageError("doctor needs MODEL, an ONNX file, to hold against a target")
    processor = this_processor()
    if as_json:
        print_json({"int8": processor.to_json()})
    else:
        print_text(f"int8 on this processor ({processor.architecture}): {processor}")


def _refuse_beside_report(*others: object, told: bool) -> None:
    if told or any(other is not None for other in others):
        raise UsageError(
            "--report describes this machine, and looks at no file and no target",
            legal="doctor --report, with or without --json",
        )


def _print(model: Path, where: str, findings: tuple[Finding, ...]) -> None:
    serious = [finding for finding in findings if finding.severity != "note"]
    plural = "" if len(serious) == 1 else "s"
    known = f"{len(serious)} known problem{plural}" if serious else "nothing known against it"
    print_text(f"{model} {where}: {known}")
    for finding in findings:
        print_text("")
        print_text(f"{finding.severity.upper()}: {finding.title} [{finding.id}]")
        print_text(f"  {finding.explanation}")
        if finding.nodes:
            print_text(f"  at      {_names(finding.nodes)}")
        for remedy in finding.remedies:
            print_text(f"  do      {remedy}")
        for source in finding.sources:
            print_text(f"  source  {source}")


def _names(nodes: tuple[str, ...]) -> str:
    others = len(nodes) - NAMES_COUNT
    return ", ".join(nodes[:NAMES_COUNT]) + (f" and {others} more" if others > 0 else "")


def _target(content: onnx.ModelProto, name: str | None) -> Target:
    from legoexport.compile.stamp import read_stamp

    return find_target(name or read_stamp(content).get("target", "cpu"))


def _read(path: Path) -> onnx.ModelProto:
    from legoexport.ort.session import parse_model

    content = read_bytes(path)
    if path.suffix == ".ort":
        raise UsageError(
            f"{path} is in ORT format, which says too little about its weights",
            next_step="give the ONNX file that it was made from: convert with --out model.onnx",
        )
    return parse_model(content, str(path))
