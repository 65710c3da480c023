"""docs/github-app.html: it asks GitHub for what `dayfly doctor` looks for, and what it makes of GitHub's answer."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import Any

import pytest
from hcl import ROOT

PAGE = (ROOT / "docs/github-app.html").read_text()
CODE = "a180b1a3d263c81bc6441d7b990bae27d4c10679"

# As much of a browser as the page needs. Prints what it is left with.
BROWSER = """
const html = require('fs').readFileSync(process.argv[1], 'utf8');
const { values, search, stored } = JSON.parse(process.argv[2]);
const script = html.match(/<script>\\n([^]*?)<\\/script>/)[1];
const ids = [...html.matchAll(/ id="(\\w+)"/g)].map((it) => it[1]);
const elements = Object.fromEntries(ids.map((id) => [id, {
  value: html.match(new RegExp(`id="${id}" value="([^"]*)"`))?.[1] ?? '', checked: new RegExp(`id="${id}" checked`).test(html),
  hidden: new RegExp(`id="${id}" hidden`).test(html), textContent: html.match(new RegExp(`id="${id}">([^]*?)</`))?.[1] ?? '',
  addEventListener(event, then) { this[event] = then; }, ...values[id],
}]));
const document = { getElementById: (id) => elements[id] };
const location = { origin: 'http://localhost:8000', pathname: '/github-app.html', search };
const sessionStorage = { setItem: (name, value) => { stored[name] = value; }, getItem: (name) => stored[name] ?? null };
new Function('document', 'location', 'sessionStorage', 'crypto', script)(document, location, sessionStorage, require('crypto').webcrypto);
if (Object.keys(values).length) elements.form.submit();
console.log(JSON.stringify({ stored, elements }));
"""


def document(name: str) -> dict[str, Any]:
    """A JSON document within the page."""
    return json.loads(re.search(rf'id="{name}">(.*?)</script>', PAGE, re.S).group(1))


def opened(search: str = "", stored: dict[str, str] | None = None, **values: Any) -> dict[str, Any]:
    """What the page is after it was opened, and with values after the form was sent."""
    if shutil.which("node") is None:
        pytest.skip("there is no node on this machine to run the page's script")
    state = json.dumps({"values": values, "search": search, "stored": stored or {}})
    said = subprocess.run(["node", "-e", BROWSER, ROOT / "docs/github-app.html", state], capture_output=True, text=True, check=True, timeout=60)
    return json.loads(said.stdout)


def answered(**values: Any) -> tuple[dict[str, Any], dict[str, Any], str]:
    """The page as it asks GitHub, then as GitHub's answer finds it; and the state that it sent."""
    asked = opened(name={"value": "dayfly-octo"}, **values)
    state = asked["elements"]["form"]["action"].rpartition("?state=")[2]
    return asked["elements"], opened(f"?code={CODE}&state={state}", asked["stored"])["elements"], state


def test_it_asks_for_what_the_doctor_looks_for_and_no_more():
    doctor = (ROOT / "control/src/bin/dayfly/doctor/github.rs").read_text()
    needs = dict.fromkeys(re.findall(r'name: "(\w+)"', doctor), "write")
    assert len(needs) == 3
    asked = document("manifest")["default_permissions"] | {name: level for each in document("levels").values() for name, level in each.items()}
    # Each App has this one.
    assert asked.pop("metadata") == "read"
    assert asked == needs
    assert document("manifest")["default_events"] == ["workflow_job"]
    assert 'sends("workflow_job")' in doctor


def test_the_levels_are_those_that_fleets_have():
    schema = json.loads((ROOT / "control/fleets.schema.json").read_text())
    levels = re.search(r'"level": \{.*?"enum": \[(.*?)\]', json.dumps(schema)).group(1)
    # GitHub's Apps can't manage an enterprise's runners.
    assert set(document("levels")) == set(re.findall(r'"(\w+)"', levels)) - {"enterprise"}


def test_an_organizations_app_is_asked_for_with_what_its_runners_need():
    page, after, _ = answered(organization={"value": "octo-org"})
    assert page["form"]["action"].startswith("https://github.com/organizations/octo-org/settings/apps/new?state=")
    sent = json.loads(page["sent"]["value"])
    assert sent["default_permissions"] == {"actions": "write", "metadata": "read", "organization_self_hosted_runners": "write"}
    assert (sent["name"], sent["redirect_url"]) == ("dayfly-octo", "http://localhost:8000/github-app.html")
    assert sent["hook_attributes"] == {"url": "https://example.com/not-deployed-yet", "active": True}
    assert (after["made"]["hidden"], after["wrong"]["hidden"], after["form"]["hidden"]) == (False, True, True)
    assert f"https://api.github.com/app-manifests/{CODE}/conversions" in after["command"]["textContent"]


def test_a_persons_app_and_one_of_repositories():
    page, _, _ = answered(organization_level={"checked": False}, repository_level={"checked": True}, webhook={"value": "https://a.example/webhook"})
    assert page["form"]["action"].startswith("https://github.com/settings/apps/new?state=")
    sent = json.loads(page["sent"]["value"])
    assert sent["default_permissions"] == {"actions": "write", "metadata": "read", "administration": "write"}
    assert sent["hook_attributes"]["url"] == "https://a.example/webhook"


@pytest.mark.parametrize(
    ("github", "api"),
    [("https://acme.ghe.com", "https://api.acme.ghe.com"), ("https://github.acme.example/", "https://github.acme.example/api/v3")],
)
def test_the_key_is_fetched_where_the_app_was_made(github, api):
    page, after, _ = answered(github={"value": github})
    assert page["form"]["action"].startswith(f"{github.rstrip('/')}/settings/apps/new?state=")
    assert f" {api}/app-manifests/{CODE}/conversions" in after["command"]["textContent"]


def test_an_answer_to_somebody_elses_question_gives_no_command():
    asked = opened(name={"value": "dayfly-octo"})
    state = asked["elements"]["form"]["action"].rpartition("?state=")[2]
    for search in (f"?code={CODE}&state=0", f"?code={CODE}", f"?code={CODE};reboot&state={state}", f"?code=$(reboot)&state={state}"):
        page = opened(search, asked["stored"])["elements"]
        assert (page["made"]["hidden"], page["wrong"]["hidden"], page["command"]["textContent"]) == (True, False, ""), search


def test_the_command_writes_what_the_example_takes(tmp_path):
    _, after, _ = answered(organization={"value": "octo-org"})
    command = after["command"]["textContent"]
    # GitHub's answer, in place of asking for it: a second time it has none, as the code is used up.
    answer = '{"id": 12, "pem": "-----BEGIN RSA PRIVATE KEY-----\\\\nx\\\\n", "webhook_secret": "0123456789abcdef", "client_secret": "no"}'
    (tmp_path / "curl").write_text(f"""#!/bin/sh
[ ! -e asked ] || exit 22
while [ "$1" != -o ]; do shift; done
echo '{answer}' > "$2"
echo > asked
""")
    (tmp_path / "curl").chmod(0o755)
    if shutil.which("jq") is None:
        pytest.skip("there is no jq on this machine")
    env = {"PATH": f"{tmp_path}:/usr/local/bin:/usr/bin:/bin"}
    run = [subprocess.run(["sh", "-c", command], cwd=tmp_path, env=env, check=False, timeout=60).returncode for _ in range(2)]
    assert run == [0, 22], "and the key of the first time is still there:"
    assert sorted(it.name for it in tmp_path.iterdir()) == ["asked", "curl", "github-app.auto.tfvars.json"]
    made = tmp_path / "github-app.auto.tfvars.json"
    wanted = {"id": "12", "key": "-----BEGIN RSA PRIVATE KEY-----\nx\n", "webhook_secret": "0123456789abcdef"}
    assert json.loads(made.read_text()) == {"github_app": wanted}
    assert made.stat().st_mode & 0o077 == 0
    minimal = (ROOT / "examples/minimal/variables.tf").read_text()
    assert set(re.findall(r"(\w+) = string", re.search(r'"github_app".*?\}', minimal, re.S).group())) == set(wanted)
