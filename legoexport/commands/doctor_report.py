"""``legoexport doctor --report``: what a bug report has to tell, as text to paste."""

from __future__ import annotations

from legoexport.doctor.report import Report, make_report
from legoexport.errors import UsageError
from legoexport.host.report import print_json, print_text
from legoexport.measure.machine_view import machine_json, machine_rows
from legoexport.runtimes.web.node import find_node, node_version

NOT_INSTALLED = "not installed"


def print_report(*, as_json: bool) -> None:
    """Print the report as lines of text, or as JSON."""
    report = make_report(_node())
    if as_json:
        print_json(report.to_json() | {"machine": machine_json(report.machine)})
        return
    rows = _report_rows(report)
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print_text(f"{name:{width}}  {value}")


def _report_rows(report: Report) -> list[tuple[str, str]]:
    """Return the lines of the report; whatever else it is to tell is one more here."""
    return [
        *machine_rows(report.machine),
        ("int8", str(report.processor)),
        ("providers", ", ".join(report.providers)),
        ("node", report.node or NOT_INSTALLED),
        *((name, version or NOT_INSTALLED) for name, version in report.packages),
    ]


def _node() -> str | None:
    try:
        return node_version(find_node())
    except UsageError:
        return None
