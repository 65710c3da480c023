"""What documents tell a user to type, enter or look for is in this tree: links, inputs, outputs, commands, alarms, messages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hcl import MODULE, ROOT, type_of, variables
from tree import is_input, outputs, spans, variables_of

DOCS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
# Those that are followed with a keyboard at hand.
GUIDES = [ROOT / "docs" / name for name in ("getting-started.md", "migration.md", "troubleshooting.md", "operations.md")] + sorted(ROOT.glob("docs/guides/*.md"))
TROUBLES = (ROOT / "docs/troubleshooting.md").read_text()
COMMAND_LINE = ROOT / "control/src/bin/dayfly"


def of_each(pages: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", pages, ids=lambda page: str(page.relative_to(ROOT)))


def fences(text: str, language: str) -> list[str]:
    """Blocks of code in this language, also those within a list."""
    return re.findall(rf"^ *```{language}\n(.*?)^ *```$", text, re.M | re.S)


def anchors(page: Path) -> set[str]:
    """What GitHub makes of a page's headings."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    heads = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", head).lower()).replace(" ", "-") for head in heads}


@of_each(DOCS)
def test_links_lead_somewhere(page):
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.M | re.S)
    astray = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:", link):
            continue
        path, _, anchor = link.partition("#")
        to = (page.parent / path).resolve() if path else page
        if not to.exists() or (anchor and anchor not in anchors(to)):
            astray.append(link)
    assert astray == []


@cache
def every_input() -> set[str]:
    """Each name that an input, or a field of one, has."""
    names: set[str] = set()

    def walk(kind: object) -> None:
        if isinstance(kind, dict):
            names.update(kind)
            for inner in kind.values():
                walk(inner)
        elif isinstance(kind, list):
            walk(kind[0])

    for name in variables():
        names.add(name)
        walk(type_of(name))
    return names | variables_of("examples/minimal/variables.tf")


# Of Terraform's own language, and names that are the user's to choose.
OTHERS = {"source", "trial", "linux", "x64", "x86_64"}


@of_each(GUIDES)
def test_every_input_that_is_set_in_an_example_is_there(page):
    text = page.read_text()
    said = [*fences(text, "hcl"), *(span for span in spans(text) if " = " in span or span.endswith(" = …"))]
    names = {name for it in said for name in re.findall(r"(?<![\w\"./])([a-z][a-z0-9_]*) += ", it)}
    fleets = {name for it in said for name in re.findall(r"fleets = \{\s*([a-z0-9-]+) = ", it)}
    assert sorted(names - every_input() - fleets - OTHERS) == []


@of_each(GUIDES)
def test_every_output_that_is_named_is_there(page):
    text = page.read_text()
    named = re.findall(r"outputs? `(\w+)`", text) + re.findall(r"terraform output(?: -\w+)* (\w+)", text)
    assert set(named) - outputs() == set()


def test_outputs_are_named_at_all():
    assert "github_setup" in outputs()
    named = {name for page in GUIDES for name in re.findall(r"outputs? `(\w+)`", page.read_text())}
    assert {"webhook_url", "runner_role", "function_policies"} <= named


@cache
def commands() -> dict[str, set[str]]:
    """The subcommands of `dayfly`, and the flags of each."""
    found = {"fleets": flags(COMMAND_LINE / "fleets.rs")}
    for name in re.findall(r"^    ([A-Z]\w+)\(\w+::\w+\),?$", (COMMAND_LINE / "main.rs").read_text(), re.M):
        file = COMMAND_LINE / f"{name.lower()}.rs"
        found.setdefault(name.lower(), flags(file if file.exists() else COMMAND_LINE / name.lower() / "mod.rs"))
    return found


# Flags that several commands have.
SHARED = {"Place": "place.rs", "Show": "output.rs"}


def flags(file: Path) -> set[str]:
    """What a file's commands take: its fields that are flags, and those of what is flattened into them."""
    text = file.read_text()
    fields = re.findall(r"^ *#\[arg\((?=.*\blong\b).*\)\]\n(?: *///.*\n| *#\[.*\n)* *(?:pub(?:\([a-z]+\))? )?(\w+):", text, re.M)
    found = {f"--{field.replace('_', '-')}" for field in fields}
    for kind in re.findall(r"#\[command\(flatten\)\]\s*(?:pub(?:\([a-z]+\))? )?\w+: (\w+),", text):
        # Others are in the same file.
        found |= flags(COMMAND_LINE / SHARED[kind]) if kind in SHARED else set()
    return found


def typed(text: str) -> Iterator[list[str]]:
    """What is said to be typed to `dayfly`: the words after it."""
    told = [*spans(text), *(line.removeprefix("$ ") for block in re.findall(r"^```\n(.*?)^```$", text, re.M | re.S) for line in block.splitlines() if line.startswith("$ "))]
    told += [line.strip() for line in re.findall(r"^ {4,}dayfly .*$", text, re.M)]
    for it in told:
        if match := re.match(r"dayfly ([a-z-].*)$", it):
            yield match.group(1).split()


def test_the_subcommands_are_read():
    every = commands()
    assert {"doctor", "explain", "jobs", "runners", "launch", "retire", "drain", "report", "reconcile", "fleets"} == set(every)
    assert {"--deployment", "--undo"} <= every["drain"] and "--repository" in every["fleets"] and "--html" in every["report"]


@of_each([*GUIDES, ROOT / "README.md"])
def test_every_command_is_one_with_these_flags(page):
    every = commands()
    wrong = []
    for words in typed(page.read_text()):
        if words[0] == "--version":
            continue
        known = every.get(words[0])
        if known is None or [word for word in words if word.startswith("--") and word not in known]:
            wrong.append(" ".join(words))
    assert wrong == []


@of_each(GUIDES)
def test_what_is_made_and_set_by_name_is_there(page):
    text = page.read_text()
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.M))
    assert {name for name in re.findall(r"\bmake ([a-z]+)(?: [A-Z]|`)", text)} - targets == set()
    interface = (ROOT / "docs/interface.md").read_text()
    assert {name for name in re.findall(r"\bDAYFLY_[A-Z_]+\b", text) if f"`{name}`" not in interface} == set()
    assert [name for name in re.findall(r"\bexamples/([a-z][a-z0-9-]+)\b", text) if not (ROOT / "examples" / name / "main.tf").exists()] == []


def test_the_first_steps_set_what_the_example_asks_for():
    page = (ROOT / "docs/getting-started.md").read_text()
    wanted = set(re.findall(r'^variable "(\w+)" \{(?:(?!^\}).)*?^\}', (ROOT / "examples/minimal/variables.tf").read_text(), re.M | re.S))
    given = {"github_app"} | {name for block in fences(page, "hcl") for name in re.findall(r"^(\w+) +=", block, re.M)}
    # It has a default: where `make dist` puts it.
    assert wanted - given == {"control_zip"}
    # What it has Terraform say, the example says.
    asked = set(re.findall(r"terraform output(?: -\w+)* (\w+)", page)) | set(re.findall(r"outputs? `(\w+)`", page))
    assert {"github_setup", "deployment"} <= asked
    assert asked - set(re.findall(r'^output "(\w+)"', (ROOT / "examples/minimal/outputs.tf").read_text(), re.M)) == set()
    assert re.search(r"--deployment (\S+)", page).group(1) == re.search(r'environment = "(\w+)"', (ROOT / "examples/minimal/main.tf").read_text()).group(1)
    for name in ("dayfly-control-x86_64.zip", "dayfly-agent-x86_64.tar.gz", "dayfly-x86_64"):
        assert name in page
        assert re.search(re.escape(name.replace("x86_64", "ARCH")), (ROOT / "scripts/pack.py").read_text())
    # What Packer writes, and the fleet follows.
    prefix = re.search(r"image_parameter_prefix=(\S+)", page).group(1)
    assert f'image = {{ parameter = "{prefix}/al2023-x86_64" }}' in page
    assert re.search(r'^source "[\w-]+" "al2023" \{', (ROOT / "packer/amazon-linux-2023.pkr.hcl").read_text(), re.M)


def test_github_is_told_by_the_labels_of_its_forms():
    """The output, and the table of who does it by hand: the same labels, in the same order."""
    page = (ROOT / "docs/getting-started.md").read_text()
    form = re.search(r"app_form = \[\n(.*?)^  \]", (MODULE / "outputs.tf").read_text(), re.M | re.S).group(1)
    labels = re.findall(r'^    \{ "([^"]+)" =', form, re.M)
    table = [label.removeprefix("Webhook: ") for label in re.findall(r"^\| ([^|]+?) \|", page.partition("### By hand")[2].partition("###")[0], re.M)]
    # The page to open, and what is done once the App is there.
    assert len(labels) > 5 and (labels[0], labels[-1]) == ("Page", "Install App")
    assert [label for label in table if label in labels] == labels[1:-1]


@cache
def literals() -> list[str]:
    """Texts that programs of this tree may print."""
    found = []
    for folder, kind in (("control/src", "*.rs"), ("agent/src", "*.rs"), ("userdata/files", "*"), ("terraform", "*.tf")):
        for file in (ROOT / folder).rglob(kind):
            if file.is_file() and not any("tests" in part for part in file.relative_to(ROOT).with_suffix("").parts):
                # What tests expect is no proof that anything prints it. Then, a line that goes on below.
                text = re.sub(r"\\\n\s*", "", file.read_text().split("#[cfg(test)]\nmod tests {")[0])
                found += re.findall(r'"((?:[^"\\\n]|\\.)*)"' if kind != "*" else r"'([^'\n]*)'", text)
    return found


# Words of others: Lambda's.
FOREIGN = {"Task timed out"}
# Texts that are put together of two.
COMPOSED = {
    "Instance … failed": ("Instance {} {}", "failed"),
    "Fleet … is left alone for another … s after … failures one after the other.": (
        "Fleet {fleet} is left alone for another {wait} s{failures}.",
        " after {n} failures one after the other",
    ),
}


def test_every_message_that_is_quoted_is_printed_by_something():
    quoted = {span for span in spans(TROUBLES) if " " in span and re.match(r"[A-Z]|it|its|there|the|no ", span) and "=" not in span} - FOREIGN
    assert len(quoted) > 25
    every = literals()
    unknown = []
    for span in quoted:
        parts = [part for part in re.split("…", span) if part.strip(" .,:;()")]
        if span in COMPOSED and set(COMPOSED[span]) <= set(every):
            continue
        pattern = re.compile(".*?".join(re.escape(part.strip()) for part in parts), re.S)
        if not any(pattern.search(it) for it in every):
            unknown.append(span)
    assert sorted(unknown) == []


def test_a_message_that_nobody_prints_is_seen():
    assert any("A delivery was not noted; deliver it again" in it for it in literals())
    assert not any("A delivery was noted twice" in it for it in literals())


def test_the_reasons_of_instances_that_fail_are_the_agents():
    contract = (ROOT / "agent/contract/src/lifecycle.rs").read_text()
    reasons = set(re.findall(r"^    ([A-Z]\w+),$", contract[contract.index("pub enum Reason") :].split("\n}", 1)[0], re.M))
    table = TROUBLES[TROUBLES.index("## An instance ends at once") : TROUBLES.index("## A runner listens")]
    named = set(re.findall(r"^\| `([A-Z]\w+)`", table, re.M))
    failures = {name for name in reasons if name.endswith(("Missing", "Unreadable", "Failed", "Unusable", "Refused"))}
    assert named == failures
    assert len(failures) == 7


def test_each_alarm_has_a_row_and_no_row_is_of_another():
    text = (MODULE / "alarms.tf").read_text()
    # The keys of the map that alarms are made of: `name = {`, or for each of several `"${name}-rest" => {`.
    text = text[text.index("alarms = merge(") : text.index('resource "aws_cloudwatch_metric_alarm"')]
    keys = re.findall(r'"([^"\n]+)" => \{', text) + re.findall(r"^ {6}([a-z0-9-]+) = \{", text, re.M)
    made = [re.sub(r"\\\$\\\{[^}]*\\\}", "[a-z-]+", re.escape(name)) for name in keys]
    assert len(made) >= 9
    table = TROUBLES[TROUBLES.index("## Alarms") : TROUBLES.index("## terraform apply")]
    named = [name.replace("…", "fleet") for row in re.findall(r"^\| (`[^|]+) \|", table, re.M) for name in re.findall(r"`([^`]+)`", row)]
    assert [name for name in named if not any(re.fullmatch(pattern, name) for pattern in made)] == []
    assert [pattern for pattern in made if not any(re.fullmatch(pattern, name) for name in named)] == []


def test_dead_letters_have_the_reasons_that_the_metric_has():
    table = TROUBLES[TROUBLES.index("## Dead letters") : TROUBLES.index("## Alarms")]
    named = {word for row in re.findall(r"^\| (`[^|]+) \|", table, re.M) for word in re.findall(r"`([a-z_]+)`", row)} - {"reason", "wake", "lifecycle", "keepers"}
    metric = next(line for line in (ROOT / "docs/interface.md").read_text().splitlines() if line.startswith("| `Refused`"))
    assert len(named) >= 6
    assert {word for word in named if f"`{word}`" not in metric} == set()


def test_an_input_that_is_not_there_is_seen():
    assert is_input("alarms.actions") and "handover" in every_input()
    assert "hand_over" not in every_input()
