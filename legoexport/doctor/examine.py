"""Examine: everything that is known to stand against running a file on a target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import onnx

from legoexport.doctor.cases import (
    NO_VNNI,
    ONNXRUNTIME,
    SEVERITIES,
    SME,
    Case,
    Severity,
    Version,
    format_version,
    known_cases,
    release_of,
)
from legoexport.doctor.model import FoldedModel
from legoexport.doctor.triggers import TRIGGERS
from legoexport.ort.partitions import check_partitions
from legoexport.target import Target

DEFAULT_DOMAINS = ("", "ai.onnx")
# Which of the checker's tables speak for a target.
TABLES = {"nnapi": ("NNAPI",), "coreml": ("CoreML MLProgram", "CoreML NeuralNetwork")}
TABLE_SOURCE = "onnxruntime.tools.mobile_helpers.usability_checker"
RELEASES_SOURCE = "measured: legoexport/doctor/releases.toml"


@dataclass(frozen=True)
class Finding:
    """Something that stands against running the file as asked.

    Attributes:
        id: A short name that stays.
        severity: ``wrong numbers``, ``fails``, ``slow`` or ``note``.
        title: What goes wrong.
        explanation: Why it happens.
        nodes: Nodes or values that trigger it.
        remedies: What to do instead, the best first.
        sources: Where this is documented or measured.
    """

    id: str
    severity: Severity
    title: str
    explanation: str
    nodes: tuple[str, ...]
    remedies: tuple[str, ...]
    sources: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return every field as JSON values."""
        return asdict(self)


def examine(
    model: onnx.ModelProto,
    target: Target,
    version: Version,
    *,
    engine: str = ONNXRUNTIME,
    has_sme: bool = True,
    has_vnni: bool = False,
) -> tuple[Finding, ...]:
    """Look for every known case, the worst first.

    Args:
        model: The file.
        target: Where it is to run.
        version: The version of the engine that is to run it.
        engine: What is to run it; of another than ONNX Runtime, cases alone are known.
        has_sme: Whether the CPU has, or may have, the Scalable Matrix Extension.
        has_vnni: Whether every x86 CPU that is to run it has VNNI.

    Raises:
        UsageError: The onnxruntime that is installed here does not load the model.
    """
    folded = FoldedModel(model)
    absent = {SME: not has_sme, NO_VNNI: has_vnni}
    findings = []
    if engine == ONNXRUNTIME:
        findings += [*_too_new(model, version), *_not_whole(folded, target)]
    for case in known_cases():
        if case.concerns(target.name, version, engine) and not absent.get(case.needs or "", False):
            nodes = tuple(TRIGGERS[case.trigger](folded))
            findings += [_finding(case, nodes)] if nodes else []
    return tuple(sorted(findings, key=lambda one: SEVERITIES.index(one.severity)))


def gives_wrong_numbers(findings: Sequence[Finding]) -> bool:
    """Return whether any of them leaves outputs wrong without a message."""
    return any(finding.severity == "wrong numbers" for finding in findings)


def _finding(case: Case, nodes: tuple[str, ...]) -> Finding:
    return Finding(
        id=case.id,
        severity=case.severity,
        title=case.title,
        explanation=case.explanation,
        nodes=nodes,
        remedies=case.remedies,
        sources=case.sources,
    )


def _too_new(model: onnx.ModelProto, version: Version) -> Iterator[Finding]:
    release = release_of(version)
    if release is None:
        yield Finding(
            id="runtime-unknown",
            severity="note",
            title=f"onnxruntime {format_version(version)} is older than what is known here",
            explanation="Whether it loads this file is not in the table.",
            nodes=(),
            remedies=("run it on onnxruntime 1.16 or later",),
            sources=(RELEASES_SOURCE,),
        )
        return
    opset = max(one.version for one in model.opset_import if one.domain in DEFAULT_DOMAINS)
    for name, found, highest in (
        ("opset", opset, release.opset),
        ("IR", model.ir_version, release.ir_version),
    ):
        if found > highest:
            yield Finding(
                id=f"{name.lower()}-too-new",
                severity="fails",
                title=f"{name} {found} is too new for onnxruntime {format_version(version)}",
                explanation=f"It loads {name} {highest} at most.",
                nodes=(),
                remedies=(
                    "convert again without --opset: opset 17, IR 8 load from 1.16 on",
                    "run it on a later onnxruntime",
                ),
                sources=(RELEASES_SOURCE,),
            )


def _not_whole(folded: FoldedModel, target: Target) -> Iterator[Finding]:
    """What the target's own limits say: shapes first, for with them all else changes."""
    if folded.has_open_batch and not target.dynamic_batch:
        yield Finding(
            id="open-batch",
            severity="slow",
            title=f"target {target.name} wants a fixed batch",
            explanation="NNAPI takes no node of unknown shape; the others pay for it.",
            nodes=tuple(value.name for value in folded.stamped.graph.input),
            remedies=(f"convert with --target {target.name}, or --batch 1",),
            sources=(TABLE_SOURCE,),
        )
    tables = TABLES.get(target.name, ())
    for one in check_partitions(folded.stamped.SerializeToString()) if tables else ():
        if one.provider in tables and not one.whole:
            yield Finding(
                id="split",
                severity="slow",
                title=f"not one partition: {one}",
                explanation="Every change between provider and CPU copies maps.",
                nodes=tuple(folded.nodes(*(op.split(":")[-1] for op in one.unsupported_ops))),
                remedies=(f"convert with --target {target.name}",),
                sources=(TABLE_SOURCE, "docs/targets.md"),
            )
