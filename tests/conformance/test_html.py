"""The HTML report: what comes first in it, and that nothing in it comes from elsewhere."""

import re
from html.parser import HTMLParser

import pytest

from cnisdk.conformance import html
from cnisdk.conformance.check import Kind, Level
from cnisdk.conformance.checks import REGISTRY
from cnisdk.conformance.execution import Execution
from cnisdk.conformance.runner import Outcome, Report, Verdict
from cnisdk.conformance.subject import Subject

HOSTILE = b'</pre><script src="https://example.com/x.js"></script><img src=x onerror=alert(1)>'

CALL = Execution(
    executable="/opt/cni/bin/plugin",
    environ={"PATH": "/bin", "CNI_COMMAND": "ADD", "CNI_CONTAINERID": "<b>"},
    stdin=b'{"cniVersion": "1.0.0"}',
    status=1,
    stdout=HOSTILE,
    stderr=b"",
    seconds=0.01,
)


def report(**outcomes: Outcome) -> Report:
    """Return a report in which all passed but the first check of each level that is named."""
    named = {Level(level): outcome for level, outcome in outcomes.items()}
    verdicts = []
    for check in REGISTRY.values():
        outcome = named.pop(check.level, Outcome.PASS)
        reason = "" if outcome == Outcome.PASS else f"why <{check.level}>"
        verdicts.append(
            Verdict(check=check, outcome=outcome, reason=reason, executions=(CALL, CALL))
        )
    subject = Subject(executable="/opt/cni/bin/plug<in>", kind=Kind.INTERFACE)
    return Report(
        subject=subject, claimed=("0.4.0", "1.0.0"), verdicts=tuple(verdicts), seconds=1.5
    )


class Page(HTMLParser):
    """What stands in the report, in its order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.checks: list[tuple[str, str]] = []
        self.tags: set[str] = set()
        self.links: set[str] = set()
        self.unfolded = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.add(tag)
        self.links |= {str(found[key]) for key in ("src", "href", "action") if key in found}
        self.unfolded += "open" in found
        if "data-outcome" in found:
            self.checks.append((str(found["id"]), str(found["data-outcome"])))


def test_what_is_wrong_comes_first_and_must_before_should() -> None:
    told = report(MUST=Outcome.FAIL, SHOULD=Outcome.FAIL)

    page = Page(html.document(told))

    assert [REGISTRY[id].level for id, _ in page.checks[:2]] == [Level.MUST, Level.SHOULD]
    assert [outcome for _, outcome in page.checks[:3]] == ["fail", "fail", "pass"]


def test_every_check_is_there_once() -> None:
    page = Page(html.document(report(MUST=Outcome.FAIL, SHOULD=Outcome.SKIP)))

    assert sorted(id for id, _ in page.checks) == sorted(REGISTRY)


def test_the_last_call_of_a_failure_is_unfolded_and_no_other() -> None:
    assert Page(html.document(report(MUST=Outcome.FAIL, SHOULD=Outcome.SKIP))).unfolded == 1


def test_a_failure_has_what_was_sent_what_came_back_and_why_it_is_wrong() -> None:
    text = html.document(report(MUST=Outcome.FAIL))

    article = text.partition("<article")[2].partition("</article>")[0]

    for part in ("why &lt;MUST&gt;", "CNI_COMMAND=ADD", '"cniVersion": "1.0.0"', "SPEC, 2"):
        assert part in article.replace("&quot;", '"')
    assert re.search(r"came back: stdout.*&lt;/pre&gt;", article, re.S)


def test_nothing_is_loaded_and_nothing_that_a_plugin_printed_is_executed() -> None:
    text = html.document(report(MUST=Outcome.FAIL))

    page = Page(text)

    assert not page.tags & {"img", "link", "iframe", "object", "video", "base", "form"}
    assert page.links == {"https://github.com/containernetworking/cni/blob/main/SPEC.md"}
    assert text.count("<script") == 1
    assert "url(" not in text
    assert "@import" not in text
    assert "Content-Security-Policy\" content=\"default-src 'none'" in text


@pytest.mark.parametrize("outcomes", [{}, {"MUST": Outcome.FAIL}])
def test_the_page_says_at_once_how_it_went(outcomes: dict[str, Outcome]) -> None:
    verdict = html.document(report(**outcomes)).partition('class="verdict">')[2]

    assert verdict.startswith(
        f"{len(REGISTRY) - 1} passed, 1 failed (1 MUST" if outcomes else "Keeps to the spec"
    )
