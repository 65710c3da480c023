"""The module, deployed by Terraform with the real AWS provider: it applies, has nothing to change afterwards, is there
again from a recording, and leaves nothing when it is destroyed.

Takes two minutes, most of it the provider waiting for SQS queues to settle.
"""

import json
import shutil
import subprocess
import zipfile

from conftest import HERE
from test_tape import server

ROOT = HERE.parent.parent


class Terraform:
    """Terraform with a state of its own."""

    def __init__(self, folder):
        assert shutil.which("terraform"), "terraform is not on PATH: https://developer.hashicorp.com/terraform/install"
        self.zip = folder / "control.zip"
        with zipfile.ZipFile(self.zip, "w") as archive:
            # More than 5 MiB, so that it is uploaded in parts, as the programs are.
            archive.writestr("bootstrap", bytes(range(256)) * 24_000)
        self.state = folder / "terraform.tfstate"

    def run(self, laptop, command, *arguments):
        """Runs a command of Terraform: its exit code and what it said."""
        answer = subprocess.run(
            [ROOT / "scripts/terraform", "tests/terraform", command, "-input=false", "-no-color", *arguments]
            + [f"-state={self.state}", "-var-file=example.tfvars.json"]
            + [f"-var=endpoint={laptop.url}", f"-var=control_zip={self.zip}"],
            capture_output=True,
            text=True,
            timeout=300,
        )
        return answer.returncode, answer.stdout + answer.stderr

    def done(self, laptop, command, *arguments):
        """Runs a command that must succeed."""
        code, said = self.run(laptop, command, *arguments)
        assert code == 0, said


def left(laptop):
    """What of a deployment is there."""
    names = {
        "functions": [each["FunctionName"] for each in laptop.aws("lambda").list_functions()["Functions"]],
        "mappings": [each["UUID"] for each in laptop.aws("lambda").list_event_source_mappings()["EventSourceMappings"]],
        "queues": laptop.aws("sqs").list_queues().get("QueueUrls", []),
        "tables": laptop.aws("dynamodb").list_tables()["TableNames"],
        "buckets": [each["Name"] for each in laptop.aws("s3").list_buckets()["Buckets"]],
        "roles": [each["RoleName"] for each in laptop.aws("iam").list_roles()["Roles"]],
        "profiles": laptop.aws("iam").list_instance_profiles()["InstanceProfiles"],
        "templates": laptop.aws("ec2").describe_launch_templates()["LaunchTemplates"],
        "apis": laptop.aws("apigatewayv2").get_apis()["Items"],
        "parameters": laptop.aws("ssm").get_parameters_by_path(Path="/dayfly", Recursive=True)["Parameters"],
        "logs": laptop.aws("logs").describe_log_groups(logGroupNamePrefix="/aws/lambda/dayfly")["logGroups"],
        "groups": [
            each["GroupName"]
            for each in laptop.aws("ec2").describe_security_groups()["SecurityGroups"]
            if each["GroupName"] != "default"
        ],
    }
    return {kind: found for kind, found in names.items() if found}


def test_a_deployment_from_its_beginning_to_its_end(tmp_path):
    terraform = Terraform(tmp_path)
    recording = tmp_path / "deployment"
    with server("--record", recording) as laptop:
        terraform.done(laptop, "apply", "-auto-approve", "-parallelism=40")
        assert laptop.ask("recording/stop", {})[0] == 204
        code, said = terraform.run(laptop, "plan", "-detailed-exitcode")
        # 2 is "there is something to change".
        assert code == 0, said
        code = laptop.ask("functions/dayfly-demo-webhook/code")
        assert code == (200, terraform.zip.read_bytes())
        bucket = "dayfly-demo-123456789012"
        fleets = json.loads(laptop.aws("s3").get_object(Bucket=bucket, Key="fleets.json")["Body"].read())
        made = laptop.aws("ec2").describe_launch_templates()["LaunchTemplates"][0]
        assert fleets["fleets"][0]["launch"]["template_id"] == made["LaunchTemplateId"]
        assert len(left(laptop)) == 12

    with server("--replay", recording) as again:
        code, said = terraform.run(again, "plan", "-detailed-exitcode")
        assert code == 0, said
        terraform.done(again, "destroy", "-auto-approve", "-parallelism=40")
        assert left(again) == {}
