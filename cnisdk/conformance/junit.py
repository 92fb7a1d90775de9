"""The report as JUnit XML, which most CI systems read."""

import re
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from cnisdk.conformance.report import answer
from cnisdk.conformance.runner import Outcome, Report, Verdict

# What XML 1.0 cannot hold, whatever the escaping.
_UNFIT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def document(report: Report) -> bytes:
    """Return the report as a JUnit document."""
    suite = Element(
        "testsuite",
        name=f"CNI conformance of {_fit(report.subject.name)}",
        tests=str(len(report.verdicts)),
        failures=str(len(report.of(Outcome.FAIL))),
        errors="0",
        skipped=str(len(report.of(Outcome.SKIP))),
        time=f"{report.seconds:.3f}",
    )
    for verdict in report.verdicts:
        suite.append(_case(verdict, report.subject.name))
    root = Element("testsuites")
    root.append(suite)
    indent(root)
    written: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def _case(verdict: Verdict, name: str) -> Element:
    check = verdict.check
    case = Element(
        "testcase",
        classname=f"{_fit(name)}.{check.family}",
        name=check.id,
        time=f"{verdict.seconds:.3f}",
    )
    if verdict.outcome == Outcome.FAIL:
        first = verdict.reason.partition("\n")[0]
        failure = SubElement(case, "failure", type=str(check.level), message=_fit(first))
        calls = [f"$ {done.script()}\n{answer(done)}" for done in verdict.executions[-3:]]
        words = [verdict.reason, f'SPEC, {check.section}: "{check.quote}"', *calls]
        failure.text = _fit("\n\n".join(words))
    elif verdict.outcome == Outcome.SKIP:
        SubElement(case, "skipped", message=_fit(verdict.reason))
    return case


def _fit(words: str) -> str:
    return _UNFIT.sub("\N{REPLACEMENT CHARACTER}", words)
