"""Alarms and the dashboard look at metrics that somebody writes: by name and dimensions, as control and its documentation say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from hcl import ROOT
from rendered import resources

# AWS's own, by their documentation.
AWS = {
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible"): {"QueueName"},
    ("AWS/SQS", "ApproximateAgeOfOldestMessage"): {"QueueName"},
    ("AWS/Lambda", "Errors"): {"FunctionName"},
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html
    ("AWS/ApiGateway", "5xx"): {"ApiId"},
}


def written() -> dict[str, set[str]]:
    """Dayfly's metrics with their dimensions: those of the table of docs/interface.md that control/src/metrics.rs names."""
    names = set(re.findall(r'Self::\w+ => "(\w+)"', (ROOT / "control/src/metrics.rs").read_text())) - {"Count", "Milliseconds"}
    page = (ROOT / "docs/interface.md").read_text()
    table = page[page.index("| Metric | Unit | Dimensions |") :].split("\n\n", 1)[0]
    found = {}
    for row in table.splitlines()[2:]:
        metrics, _, dimensions = row.split("|")[1:4]
        # What stands in parentheses are values.
        keys = set(re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", dimensions)))
        found |= {name: keys | {"Deployment"} for name in re.findall(r"`(\w+)`", metrics)}
    assert set(found) == names, "the documentation has exactly what control writes"
    return found


def watched() -> Iterator[tuple[str, str, str, dict[str, str]]]:
    """What alarms and the dashboard look at: where, namespace, name, dimensions with values ("" where a search has them all)."""
    for address, values in resources().items():
        if address.startswith("aws_cloudwatch_metric_alarm."):
            if values["metric_name"]:
                yield address, values["namespace"], values["metric_name"], values["dimensions"]
            for query in values["metric_query"]:
                yield from expressions(address, query["expression"])
        elif address.startswith("aws_cloudwatch_dashboard."):
            for widget in json.loads(values["dashboard_body"])["widgets"]:
                for metric in widget["properties"]["metrics"]:
                    yield from graphed(widget["properties"]["title"], metric)


def graphed(title: str, metric: list[Any]) -> Iterator[tuple[str, str, str, dict[str, str]]]:
    if isinstance(metric[0], dict):
        yield from expressions(title, metric[0]["expression"])
    else:
        names = [it for it in metric if isinstance(it, str)]
        yield title, names[0], names[1], dict(zip(names[2::2], names[3::2], strict=True))


def expressions(where: str, text: str) -> Iterator[tuple[str, str, str, dict[str, str]]]:
    searches = re.findall(r"\{(\w+),([\w,]+)\} MetricName=\"(\w+)\"(.*?)', '\w+', \d+\)", text)
    selects = re.findall(r"SELECT \w+\((\w+)\) FROM SCHEMA\(\"(\w+)\", ([\w, ]+)\)(.*)$", text)
    assert len(searches) + len(selects) == 1, text
    for namespace, dimensions, name, rest in searches:
        yield where, namespace, name, dict.fromkeys(dimensions.split(","), "") | dict(re.findall(r'(\w+)="([^"]*)"', rest))
    for name, namespace, dimensions, rest in selects:
        yield where, namespace, name, dict.fromkeys(dimensions.split(", "), "") | dict(re.findall(r"(\w+) = '([^']*)'", rest))


def test_every_metric_that_is_looked_at_is_written_with_these_dimensions() -> None:
    ours = written()
    seen = list(watched())
    assert len(seen) > 30
    for where, namespace, name, dimensions in seen:
        wanted = ours.get(name) if namespace == "Dayfly" else AWS.get((namespace, name))
        assert wanted == set(dimensions), f"{where}: {namespace} {name} has {wanted}, not {set(dimensions)}"
        assert dimensions.get("Deployment", "main") == "main", where


def test_a_functions_metric_is_looked_at_where_that_function_writes_it() -> None:
    handlers = ROOT / "control/src/handlers"
    for where, namespace, name, dimensions in watched():
        if namespace == "Dayfly" and dimensions.get("Function"):
            module = dimensions["Function"].replace("-", "_")
            files = [handlers / f"{module}.rs", *(handlers / module).glob("*.rs")]
            # Some are written by a word of their own, for a reason.
            written = f'refused("{dimensions["Reason"]}")' if name == "Refused" else f"Metric::{name}"
            if name == "Duration":
                continue  # Each function's, by main.
            assert any(written in file.read_text() for file in files), f"{where}: {name} of {module}"


def test_every_alarm_is_in_the_docs() -> None:
    names = {values["alarm_name"] for address, values in resources().items() if address.startswith("aws_cloudwatch_metric_alarm.")}
    page = (ROOT / "docs/terraform.md").read_text()
    for name in names:
        short = re.sub(r"^dayfly-main-", "", name)
        generic = re.sub(r"^(webhook|scale-up|lifecycle|reconcile|sync-runner|housekeep)-fails", "<function>-fails", short)
        generic = re.sub(r"^no-runner/.*", "no-runner/<fleet>", generic)
        assert f"`{generic}`" in page, generic
