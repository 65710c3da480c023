"""The scripts that images are made with, as far as they need no root: what is refused, and what is published."""

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent.parent / "scripts"


def bash(script, **environment):
    return subprocess.run(
        ["bash", "-c", f"cd '{SCRIPTS}' && . ./lib.sh && {script}"],
        env={"PATH": os.environ["PATH"], **environment}, capture_output=True, text=True, timeout=30,
    )


def test_a_file_is_known_by_its_hash(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"content")
    good = hashlib.sha256(b"content").hexdigest()
    assert bash(f"verified {file} {good}").returncode == 0
    other = bash(f"verified {file} {'0' * 64}")
    assert other.returncode == 1 and f"found the SHA-256 {good}, expected {'0' * 64}" in other.stderr
    short = bash(f"verified {file} abc")
    assert short.returncode == 1 and 'found "abc", expected 64 small hexadecimal digits' in short.stderr


def test_missing_variables_and_wrong_words_are_named():
    assert "RUNNER_URL: found nothing" in bash("A=1; need A RUNNER_URL").stderr
    assert bash("is_true true").returncode == 0
    assert bash("is_true false").returncode == 1
    assert 'found "yes", expected true or false' in bash("is_true yes").stderr


def test_a_file_is_written_whole(tmp_path):
    path = tmp_path / "new" / "file"
    assert bash(f"printf a | put {path} 0640 && printf b | put {path} 0640").returncode == 0
    assert path.read_text() == "b" and path.stat().st_mode & 0o777 == 0o640
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


@pytest.fixture
def publish(tmp_path):
    """Runs publish.sh with an AWS CLI that writes its arguments down."""
    program = tmp_path / "aws"
    program.write_text(f"#!/bin/sh\nprintf '%s ' \"$@\" >> {tmp_path}/calls\necho >> {tmp_path}/calls\nexit ${{AWS_CODE:-0}}\n")
    program.chmod(0o755)

    def run(builds, build="b2", parameter="/images/ci", **environment):
        (tmp_path / "manifest.json").write_text(json.dumps({"builds": builds}))
        done = subprocess.run(
            ["bash", str(SCRIPTS / "publish.sh")], capture_output=True, text=True, timeout=30,
            env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "MANIFEST": str(tmp_path / "manifest.json"),
                 "IMAGE_BUILD": build, "IMAGE_PARAMETER": parameter, **environment},
        )
        calls = tmp_path / "calls"
        return done, calls.read_text().splitlines() if calls.exists() else []

    return run


def build(name, artifact):
    return {"artifact_id": artifact, "custom_data": {"build": name}}


OLD = build("b1", "eu-west-1:ami-0aaa")


def test_each_region_gets_its_image(publish):
    done, calls = publish([OLD, build("b2", "eu-west-1:ami-0123,us-east-1:ami-0456")])
    assert done.returncode == 0, done.stderr
    expected = "ssm put-parameter --region {} --name /images/ci --value {} --type String --data-type aws:ec2:image --overwrite "
    assert calls == [expected.format("eu-west-1", "ami-0123"), expected.format("us-east-1", "ami-0456")]


def test_nothing_is_published_where_nobody_asked(publish):
    done, calls = publish([OLD], build="b1", parameter="")
    assert done.returncode == 0 and "no image_parameter_prefix is set" in done.stdout and not calls


@pytest.mark.parametrize(
    ("builds", "said"),
    [([OLD], "has no build b2"), ([build("b2", "eu-west-1:snap-1")], 'found the artifact "eu-west-1:snap-1", expected region:ami-…')],
)
def test_what_is_no_image_is_refused(publish, builds, said):
    done, calls = publish(builds)
    assert done.returncode == 1 and said in done.stderr and not calls


def test_a_refusal_of_ssm_fails_the_build(publish):
    done, _ = publish([build("b2", "eu-west-1:ami-0123")], AWS_CODE="254")
    assert done.returncode == 1 and "/images/ci in eu-west-1: could not be written" in done.stderr


def test_releases_are_pinned_for_both_architectures():
    runner = json.loads((SCRIPTS.parent / "versions.json").read_text())["runner"]
    assert runner.keys() == {"version", "sha256"}
    assert runner["sha256"].keys() == {"x86_64", "arm64"}
    assert len(set(runner["sha256"].values())) == 2
