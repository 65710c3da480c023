"""What user-data of a stock image fetches the agent with: its signature is botocore's, and its tries have an end."""

import hashlib
import http.server
import importlib.util
import json
import threading
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

SPEC = importlib.util.spec_from_file_location("fetch", Path(__file__).parent.parent / "files" / "fetch.py")
fetch = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(fetch)

ROLE = {"AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "s3cr3t/+", "Token": "tok/en+=="}
NOW = datetime(2026, 11, 21, 13, 14, 15, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    "url",
    [
        "https://s3.eu-west-1.amazonaws.com/dayfly-main/agent/dayfly-agent-x86_64.tar.gz",
        "http://10.77.0.1:5577/dayfly-main/a~b.tar.gz",
    ],
)
def test_it_signs_as_botocore_does(url, monkeypatch):
    request = AWSRequest("GET", url, headers={"x-amz-content-sha256": fetch.EMPTY})
    request.context["payload_signing_enabled"] = True
    auth = S3SigV4Auth(Credentials(ROLE["AccessKeyId"], ROLE["SecretAccessKey"], ROLE["Token"]), "s3", "eu-west-1")
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: NOW.replace(tzinfo=None), raising=False)
    monkeypatch.setattr("botocore.auth.datetime", FixedDatetime, raising=False)
    auth.add_auth(request)
    assert request.headers["X-Amz-Date"] == "20261121T131415Z"
    assert fetch.signed(url, "eu-west-1", ROLE, NOW)["authorization"] == request.headers["Authorization"]


class FixedDatetime:
    """What older botocores ask for the time, whose module holds the name `datetime` for the module."""

    class datetime:  # noqa: N801
        @staticmethod
        def utcnow():
            return NOW.replace(tzinfo=None)


class Cloud(http.server.BaseHTTPRequestHandler):
    """The metadata service and S3."""

    content = b"the agent" * 1000
    refuse = 0
    seen: list = []

    def do_PUT(self):  # noqa: N802
        self.answer(b"a-token")

    def do_GET(self):  # noqa: N802
        base = "/latest/meta-data/"
        if self.path.startswith(base):
            assert self.headers["X-aws-ec2-metadata-token"] == "a-token"
            values = {
                "placement/region": b"eu-west-1",
                "iam/security-credentials/": b"the-role",
                "iam/security-credentials/the-role": json.dumps(ROLE).encode(),
            }
            return self.answer(values[self.path.removeprefix(base)])
        Cloud.seen.append(self.path)
        if Cloud.refuse:
            Cloud.refuse -= 1
            return self.answer(b"no", 403)
        return self.answer(self.content)

    def answer(self, body, status=200):
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def cloud(monkeypatch):
    Cloud.refuse, Cloud.seen = 0, []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Cloud)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)
    # The metadata service is never asked through a proxy: this one would refuse.
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield Cloud
    server.shutdown()
    server.server_close()


def arguments(path, content=Cloud.content):
    return ["bucket", "agent/a.tar.gz", hashlib.sha256(content).hexdigest(), str(path)]


def test_what_arrives_is_kept_once_it_is_known(cloud, tmp_path):
    cloud.refuse = 2
    fetch.main(arguments(tmp_path / "a"))
    assert (tmp_path / "a").read_bytes() == cloud.content
    assert cloud.seen == ["/bucket/agent/a.tar.gz"] * 3
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_other_bytes_are_not_kept_and_not_asked_for_again(cloud, tmp_path):
    with pytest.raises(SystemExit) as error:
        fetch.main(arguments(tmp_path / "a", b"something else"))
    assert "s3://bucket/agent/a.tar.gz: found the SHA-256" in str(error.value)
    assert list(tmp_path.iterdir()) == []
    assert len(cloud.seen) == 1


def test_it_gives_up(cloud, tmp_path, monkeypatch, capsys):
    cloud.refuse = 1000
    # A clock of its own: time passes in its pauses alone, however slow the machine is.
    ticks = [0.0]
    clock = SimpleNamespace(monotonic=lambda: ticks[0], sleep=lambda pause: ticks.__setitem__(0, ticks[0] + pause))
    monkeypatch.setattr(fetch, "time", clock)
    monkeypatch.setattr(fetch, "SECONDS", 1)
    with pytest.raises(SystemExit) as error:
        fetch.main(arguments(tmp_path / "a"))
    assert "HTTP Error 403" in str(error.value) and "for 1 s" in str(error.value)
    # At the beginning, after 0.2 s, after 0.6 s; the next would be after 1.4 s.
    assert len(cloud.seen) == 3
    said = capsys.readouterr().err
    assert "once more" in said
    assert not any(secret in said + str(error.value) for secret in ROLE.values())
