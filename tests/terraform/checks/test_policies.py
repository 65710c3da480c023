"""What each role may do, and what it must not, by the very policies that the module writes."""

from __future__ import annotations

import hashlib

import iam
import pytest
from hcl import MODULE
from rendered import policies, resources

EC2 = "arn:aws:ec2:eu-west-1:123456789012"
SSM = "arn:aws:ssm:eu-west-1:123456789012:parameter"
SQS = "arn:aws:sqs:eu-west-1:123456789012"
DYNAMO = "arn:aws:dynamodb:eu-west-1:123456789012:table"
S3 = "arn:aws:s3:::dayfly-main"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/own"
# What terraform/tests/rendered.tftest.hcl has for an agent's archive.
AGENT = f"{S3}-123456789012/agent/{hashlib.sha256((MODULE / 'tests/control.zip').read_bytes()).hexdigest()}/dayfly-agent"
KEEPERS = ("sync-runner", "housekeep")
CORE = ("webhook", "scale-up", "lifecycle", "reconcile")
FUNCTIONS = (*CORE, *KEEPERS)
ALL = ("runner", *FUNCTIONS)

OURS = {"aws:ResourceTag/dayfly:deployment": "main"}
THEIRS = {"aws:ResourceTag/dayfly:deployment": "other"}
LAUNCH = {"aws:RequestTag/dayfly:deployment": "main"}


def via(service: str) -> dict[str, str]:
    return {"kms:ViaService": f"{service}.eu-west-1.amazonaws.com"}


def of_instance(own: str) -> dict[str, str]:
    """What AWS knows of a call that is made with an instance's credentials."""
    return {"ec2:SourceInstanceARN": f"{EC2}:instance/{own}", "aws:userid": f"AROARUNNER:{own}"}


def for_instance(own: str, tagged: str) -> dict[str, str]:
    return of_instance(own) | {"aws:ResourceTag/InstanceId": tagged}


def ending(own: str, ended: str) -> dict[str, str]:
    return of_instance(own) | {"aws:ARN": f"{EC2}:instance/{ended}"} | OURS


# Who may do what: role, action, resource, and what else is known of the request.
MAY = [
    # An instance: its own registration, its own end, a message.
    ("runner", "ssm:GetParameter", f"{SSM}/dayfly/main/registrations/i-1", for_instance("i-1", "i-1")),
    ("runner", "ssm:DeleteParameter", f"{SSM}/dayfly/main/registrations/i-1", for_instance("i-1", "i-1")),
    ("runner", "s3:GetObject", f"{S3}-r-123456789012/registrations/AROARUNNER:i-1", of_instance("i-1")),
    ("runner", "s3:DeleteObject", f"{S3}-r-123456789012/registrations/AROARUNNER:i-1", of_instance("i-1")),
    ("runner", "ec2:TerminateInstances", f"{EC2}:instance/i-1", ending("i-1", "i-1")),
    ("runner", "sqs:SendMessage", f"{SQS}:dayfly-main-lifecycle", of_instance("i-1")),
    ("runner", "s3:GetObject", f"{S3}-v-123456789012/runners/linux-x64/latest.json", of_instance("i-1")),
    ("runner", "s3:GetObject", f"{AGENT}-x86_64.tar.gz", of_instance("i-1")),
    ("runner", "kms:Decrypt", KEY, of_instance("i-1") | via("ssm")),
    ("runner", "kms:GenerateDataKey", KEY, of_instance("i-1") | via("sqs")),
    # The webhook notes jobs and wakes.
    ("webhook", "dynamodb:PutItem", f"{DYNAMO}/dayfly-main-ledger", {}),
    ("webhook", "sqs:SendMessage", f"{SQS}:dayfly-main-wake", {}),
    ("webhook", "ssm:GetParameter", f"{SSM}/dayfly/main/github/webhook-secret", {}),
    # scale-up launches what is tagged as ours, from its own templates, and hands over.
    ("scale-up", "ec2:CreateFleet", f"{EC2}:instance/*", LAUNCH),
    ("scale-up", "ec2:RunInstances", f"{EC2}:volume/*", LAUNCH),
    ("scale-up", "ec2:RunInstances", "arn:aws:ec2:eu-west-1:123456789012:launch-template/lt-0123456789abcdef0", {}),
    ("scale-up", "ec2:RunInstances", f"{EC2}:subnet/subnet-1", {}),
    ("scale-up", "ec2:RunInstances", f"{EC2}:security-group/sg-0123456789abcdef0", {}),
    ("scale-up", "ec2:CreateTags", f"{EC2}:instance/i-1", {"ec2:CreateAction": "RunInstances"}),
    ("scale-up", "iam:PassRole", "arn:aws:iam::123456789012:role/dayfly-main-runner", {"iam:PassedToService": "ec2.amazonaws.com"}),
    ("scale-up", "ssm:PutParameter", f"{SSM}/dayfly/main/registrations/i-1", {}),
    ("scale-up", "s3:PutObject", f"{S3}-r-123456789012/registrations/AROARUNNER:i-1", {}),
    ("scale-up", "ec2:TerminateInstances", f"{EC2}:instance/i-1", OURS),
    *[("scale-up", action, f"{EC2}:instance/i-1", OURS) for action in ("ec2:StopInstances", "ec2:StartInstances")],
    ("scale-up", "ssm:GetParameters", f"{SSM}/images/linux", {}),
    ("scale-up", "kms:CreateGrant", "arn:aws:kms:eu-west-1:123456789012:key/volumes", via("ec2")),
    ("scale-up", "iam:CreateServiceLinkedRole", "arn:aws:iam::123456789012:role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot", {"iam:AWSServiceName": "spot.amazonaws.com"}),
    ("lifecycle", "sqs:ReceiveMessage", f"{SQS}:dayfly-main-lifecycle", {}),
    ("lifecycle", "sqs:SendMessage", f"{SQS}:dayfly-main-lifecycle-dlq", {}),
    ("lifecycle", "ssm:DeleteParameter", f"{SSM}/dayfly/main/registrations/i-1", {}),
    ("reconcile", "dynamodb:Scan", f"{DYNAMO}/dayfly-main-ledger", {}),
    ("reconcile", "ec2:TerminateInstances", f"{EC2}:instance/i-1", OURS),
    ("reconcile", "ssm:GetParametersByPath", f"{SSM}/dayfly/main/registrations", {}),
    ("sync-runner", "s3:PutObject", f"{S3}-v-123456789012/runners/linux-x64/latest.json", {}),
    ("sync-runner", "ssm:GetParameter", f"{SSM}/mine/token", {}),
    ("housekeep", "s3:PutObject", f"{S3}-123456789012/housekeep/report.json", {}),
    ("housekeep", "ec2:DeleteVolume", f"{EC2}:volume/vol-1", OURS),
    ("housekeep", "ec2:DeregisterImage", "arn:aws:ec2:eu-west-1::image/ami-1", {"aws:ResourceTag/dayfly:image": "base"}),
    ("runner", "kms:Decrypt", KEY, of_instance("i-1") | via("s3")),
    ("scale-up", "dynamodb:ConditionCheckItem", f"{DYNAMO}/dayfly-main-ledger", {}),
    ("scale-up", "sqs:ReceiveMessage", f"{SQS}:dayfly-main-wake", {}),
    ("scale-up", "sqs:SendMessage", f"{SQS}:dayfly-main-wake-dlq", {}),
    ("scale-up", "s3:ListBucket", f"{S3}-r-123456789012", {}),
    ("scale-up", "ec2:DescribeInstances", "*", {}),
    ("scale-up", "kms:GenerateDataKey", KEY, via("ssm")),
    ("scale-up", "kms:Encrypt", KEY, via("ssm")),
    ("lifecycle", "dynamodb:UpdateItem", f"{DYNAMO}/dayfly-main-ledger", {}),
    ("reconcile", "ec2:DescribeInstances", "*", {}),
    ("reconcile", "s3:ListBucket", f"{S3}-r-123456789012", {}),
    ("reconcile", "s3:GetObject", f"{S3}-r-123456789012/registrations/AROARUNNER:i-1", {}),
    ("reconcile", "ssm:GetParameter", f"{SSM}/dayfly/main/registrations/i-1", {}),
    ("sync-runner", "s3:ListBucket", f"{S3}-v-123456789012", {}),
    ("housekeep", "ec2:DescribeImages", "*", {}),
    ("housekeep", "ec2:CancelSpotInstanceRequests", f"{EC2}:spot-instances-request/sir-1", {}),
    ("housekeep", "s3:ListBucket", f"{S3}-123456789012", {"s3:prefix": "housekeep/report.json"}),
    ("housekeep", "s3:ListBucket", f"{S3}-r-123456789012", {}),
    ("housekeep", "ssm:GetParameters", f"{SSM}/images/linux", {}),
    ("housekeep", "ssm:DeleteParameter", f"{SSM}/dayfly/main/registrations/i-1", {}),
    *[(name, "sqs:SendMessage", f"{SQS}:dayfly-main-wake", {}) for name in ("scale-up", "lifecycle", "reconcile")],
    *[(name, "s3:DeleteObject", f"{S3}-r-123456789012/registrations/AROARUNNER:i-1", {}) for name in ("lifecycle", "reconcile", "housekeep")],
    *[(name, "s3:GetObject", f"{S3}-123456789012/fleets.json", {}) for name in (*CORE, "housekeep")],
    *[(name, "ssm:GetParameter", f"{SSM}/dayfly/main/github/app-key", {}) for name in CORE],
    *[(name, "secretsmanager:GetSecretValue", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:second-AbCdEf", {}) for name in CORE],
    *[(name, "events:PutEvents", "arn:aws:events:eu-west-1:123456789012:event-bus/dayfly-main", {"events:source": "dayfly"}) for name in CORE],
    *[(name, "logs:PutLogEvents", "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/dayfly-main-each:log-stream:x", {}) for name in FUNCTIONS],
    *[(name, "kms:Decrypt", KEY, via("s3")) for name in FUNCTIONS],
    *[(name, "ec2:CreateNetworkInterface", f"{EC2}:network-interface/*", {}) for name in FUNCTIONS],
    *[(name, "sqs:SendMessage", f"{SQS}:dayfly-main-keepers-dlq", {}) for name in KEEPERS],
]

MUST_NOT = [
    # Another instance's registration, by either store; one that is nobody's; and none at all from outside of EC2.
    ("runner", "ssm:GetParameter", f"{SSM}/dayfly/main/registrations/i-2", for_instance("i-1", "i-2")),
    ("runner", "ssm:DeleteParameter", f"{SSM}/dayfly/main/registrations/i-2", for_instance("i-1", "i-2")),
    ("runner", "ssm:GetParameter", f"{SSM}/dayfly/main/registrations/i-11", for_instance("i-1", "i-11")),
    ("runner", "ssm:GetParameter", f"{SSM}/dayfly/main/registrations/i-2", of_instance("i-1")),
    ("runner", "ssm:GetParameter", f"{SSM}/dayfly/main/registrations/i-1", {"aws:ResourceTag/InstanceId": "i-1"}),
    ("runner", "s3:GetObject", f"{S3}-r-123456789012/registrations/AROARUNNER:i-2", of_instance("i-1")),
    ("runner", "s3:DeleteObject", f"{S3}-r-123456789012/registrations/AROARUNNER:i-2", of_instance("i-1")),
    ("runner", "s3:GetObject", f"{S3}-r-123456789012/registrations/AROARUNNER:i-11", of_instance("i-1")),
    ("runner", "s3:PutObject", f"{S3}-r-123456789012/registrations/AROARUNNER:i-1", of_instance("i-1")),
    ("runner", "s3:ListBucket", f"{S3}-r-123456789012", of_instance("i-1")),
    # Its own parameter under another path, another deployment's, a secret.
    ("runner", "ssm:GetParameter", f"{SSM}/dayfly/other/registrations/i-1", for_instance("i-1", "i-1")),
    ("runner", "ssm:GetParameter", f"{SSM}/dayfly/main/github/app-key", for_instance("i-1", "i-1")),
    ("runner", "ssm:PutParameter", f"{SSM}/dayfly/main/registrations/i-1", for_instance("i-1", "i-1")),
    ("runner", "ssm:AddTagsToResource", f"{SSM}/dayfly/main/registrations/i-2", for_instance("i-1", "i-2")),
    # Another's end; its own stop, start or launch.
    ("runner", "ec2:TerminateInstances", f"{EC2}:instance/i-2", ending("i-1", "i-2")),
    ("runner", "ec2:TerminateInstances", f"{EC2}:instance/i-1", OURS),
    ("runner", "ec2:RunInstances", f"{EC2}:instance/*", of_instance("i-1") | LAUNCH),
    ("runner", "ec2:CreateTags", f"{EC2}:instance/i-1", of_instance("i-1")),
    ("runner", "sqs:SendMessage", f"{SQS}:dayfly-main-wake", of_instance("i-1")),
    ("runner", "sqs:SendMessage", f"{SQS}:dayfly-other-lifecycle", of_instance("i-1")),
    ("runner", "sqs:ReceiveMessage", f"{SQS}:dayfly-main-lifecycle", of_instance("i-1")),
    ("runner", "s3:PutObject", f"{S3}-v-123456789012/runners/linux-x64/latest.json", of_instance("i-1")),
    ("runner", "s3:GetObject", f"{S3}-v-123456789012/runners/linux-arm64/latest.json", of_instance("i-1")),
    ("runner", "s3:GetObject", f"{S3}-123456789012/fleets.json", of_instance("i-1")),
    # Another architecture's agent, or one that was there before; nor may it put one in its place.
    ("runner", "s3:GetObject", f"{AGENT}-arm64.tar.gz", of_instance("i-1")),
    ("runner", "s3:GetObject", f"{S3}-123456789012/agent/{'0' * 64}/dayfly-agent-x86_64.tar.gz", of_instance("i-1")),
    ("runner", "s3:GetObject", f"{S3}-123456789012/control.zip", of_instance("i-1")),
    ("runner", "s3:PutObject", f"{AGENT}-x86_64.tar.gz", of_instance("i-1")),
    ("runner", "s3:DeleteObject", f"{AGENT}-x86_64.tar.gz", of_instance("i-1")),
    *[(name, "s3:PutObject", f"{AGENT}-x86_64.tar.gz", {}) for name in FUNCTIONS],
    ("runner", "dynamodb:GetItem", f"{DYNAMO}/dayfly-main-ledger", of_instance("i-1")),
    ("runner", "kms:Decrypt", KEY, of_instance("i-1")),
    ("runner", "kms:Decrypt", KEY, of_instance("i-1") | via("dynamodb")),
    # Whom strangers can call.
    ("webhook", "dynamodb:Query", f"{DYNAMO}/dayfly-main-ledger", {}),
    ("webhook", "sqs:SendMessage", f"{SQS}:dayfly-main-lifecycle", {}),
    ("webhook", "ec2:RunInstances", f"{EC2}:instance/*", LAUNCH),
    ("webhook", "ssm:GetParameter", f"{SSM}/dayfly/main/registrations/i-1", {}),
    # What would be another's, or nobody's.
    ("scale-up", "ec2:RunInstances", f"{EC2}:instance/*", {}),
    ("scale-up", "ec2:RunInstances", f"{EC2}:instance/*", {"aws:RequestTag/dayfly:deployment": "other"}),
    ("scale-up", "ec2:RunInstances", f"{EC2}:launch-template/lt-of-somebody", {}),
    ("scale-up", "ec2:RunInstances", f"{EC2}:subnet/subnet-9", {}),
    ("scale-up", "ec2:RunInstances", f"{EC2}:security-group/sg-9", {}),
    ("scale-up", "ec2:CreateTags", f"{EC2}:instance/i-1", {}),
    ("scale-up", "ec2:CreateTags", f"{EC2}:instance/i-1", {"ec2:CreateAction": "CreateVolume"}),
    ("scale-up", "ec2:TerminateInstances", f"{EC2}:instance/i-1", THEIRS),
    ("scale-up", "ec2:TerminateInstances", f"{EC2}:instance/i-1", {}),
    ("scale-up", "iam:PassRole", "arn:aws:iam::123456789012:role/dayfly-main-runner", {"iam:PassedToService": "lambda.amazonaws.com"}),
    ("scale-up", "iam:PassRole", "arn:aws:iam::123456789012:role/admin", {"iam:PassedToService": "ec2.amazonaws.com"}),
    ("scale-up", "iam:CreateServiceLinkedRole", "arn:aws:iam::123456789012:role/aws-service-role/x.amazonaws.com/X", {"iam:AWSServiceName": "x.amazonaws.com"}),
    ("scale-up", "iam:CreateServiceLinkedRole", "arn:aws:iam::123456789012:role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot", {"iam:AWSServiceName": "x.amazonaws.com"}),
    ("scale-up", "kms:CreateGrant", "arn:aws:kms:eu-west-1:123456789012:key/volumes", {}),
    ("scale-up", "ssm:GetParameter", f"{SSM}/images/other", {}),
    ("scale-up", "kms:CreateGrant", KEY, via("ec2")),
    ("lifecycle", "ec2:TerminateInstances", f"{EC2}:instance/i-1", OURS),
    ("lifecycle", "ssm:GetParameter", f"{SSM}/dayfly/main/registrations/i-1", {}),
    ("lifecycle", "sqs:ReceiveMessage", f"{SQS}:dayfly-main-wake", {}),
    ("reconcile", "ec2:TerminateInstances", f"{EC2}:instance/i-1", THEIRS),
    ("reconcile", "ec2:RunInstances", f"{EC2}:instance/*", LAUNCH),
    ("sync-runner", "s3:PutObject", f"{S3}-123456789012/control.zip", {}),
    ("sync-runner", "s3:PutObject", f"{S3}-v-123456789012/elsewhere", {}),
    ("sync-runner", "ssm:GetParameter", f"{SSM}/dayfly/main/github/app-key", {}),
    ("housekeep", "s3:PutObject", f"{S3}-123456789012/fleets.json", {}),
    ("housekeep", "ec2:DeleteVolume", f"{EC2}:volume/vol-1", THEIRS),
    ("housekeep", "ec2:DeregisterImage", "arn:aws:ec2:eu-west-1::image/ami-1", {}),
    ("housekeep", "ec2:TerminateInstances", f"{EC2}:instance/i-1", OURS),
    ("housekeep", "ssm:GetParameters", f"{SSM}/dayfly/main/github/app-key", {}),
    ("housekeep", "kms:Decrypt", KEY, via("ssm")),
    ("housekeep", "s3:ListBucket", f"{S3}-123456789012", {"s3:prefix": ""}),
    *[(name, "s3:PutObject", f"{S3}-123456789012/control.zip", {}) for name in ALL],
    *[(name, "s3:PutObject", f"{S3}-123456789012/fleets.json", {}) for name in ALL],
    *[(name, "ssm:PutParameter", f"{SSM}/dayfly/main/github/app-key", {}) for name in ALL],
    *[(name, "ssm:GetParameter", f"{SSM}/dayfly/other/github/app-key", {}) for name in ALL],
    *[(name, "dynamodb:GetItem", f"{DYNAMO}/dayfly-other-ledger", {}) for name in ALL],
    *[(name, "dynamodb:DeleteTable", f"{DYNAMO}/dayfly-main-ledger", {}) for name in ALL],
    *[(name, "sqs:SendMessage", f"{SQS}:dayfly-other-wake", {}) for name in ALL],
    *[(name, "sqs:PurgeQueue", f"{SQS}:dayfly-main-wake", {}) for name in ALL],
    *[(name, "iam:CreateRole", "arn:aws:iam::123456789012:role/x", {}) for name in ALL],
    *[(name, "sts:AssumeRole", "arn:aws:iam::123456789012:role/x", {}) for name in ALL],
    *[(name, "lambda:UpdateFunctionCode", "arn:aws:lambda:eu-west-1:123456789012:function:dayfly-main-webhook", {}) for name in ALL],
    *[(name, action, f"{EC2}:instance/i-1", THEIRS) for name in ALL for action in ("ec2:StopInstances", "ec2:StartInstances")],
    *[(name, action, f"{EC2}:instance/i-1", {}) for name in ALL for action in ("ec2:StopInstances", "ec2:StartInstances")],
    *[(name, action, f"{EC2}:instance/i-1", OURS) for name in ALL if name != "scale-up" for action in ("ec2:StopInstances", "ec2:StartInstances")],
    *[(name, "kms:Decrypt", KEY, {}) for name in ALL],
    *[(name, "kms:ScheduleKeyDeletion", KEY, via("s3")) for name in ALL],
    *[(name, "events:PutEvents", "arn:aws:events:eu-west-1:123456789012:event-bus/dayfly-main", {"events:source": "aws.ec2"}) for name in ALL],
    # The function itself, as Lambda tells it from its own doing in the role's name.
    *[
        (name, "ec2:CreateNetworkInterface", f"{EC2}:network-interface/*", {"lambda:SourceFunctionArn": f"arn:aws:lambda:eu-west-1:123456789012:function:dayfly-main-{name}"})
        for name in FUNCTIONS
    ],
]


def names(cases: list) -> list[str]:
    return [f"{role} {action} {resource.split(':', 5)[-1]} {' '.join(f'{k}={v}' for k, v in context.items())}" for role, action, resource, context in cases]


@pytest.mark.parametrize(("role", "action", "resource", "context"), MAY, ids=names(MAY))
def test_may(role, action, resource, context):
    assert iam.allows(policies(role), action, resource, **context)


@pytest.mark.parametrize(("role", "action", "resource", "context"), MUST_NOT, ids=names(MUST_NOT))
def test_must_not(role, action, resource, context):
    assert not iam.allows(policies(role), action, resource, **context)


def test_every_statement_allows_something_that_is_tried_above():
    """So that none is left over that nobody would miss, and each one is evaluated."""
    idle = []
    for role in ALL:
        for statement in (it for policy in policies(role) for it in policy["Statement"]):
            tried = [case for case in (MAY if statement["Effect"] == "Allow" else MUST_NOT) if case[0] == role]
            if not any(iam.applies(statement, action, resource, {k.lower(): v for k, v in context.items()}) for _, action, resource, context in tried):
                idle.append(f"{role}: {statement['Sid']}")
    assert not idle, "\n".join(sorted(idle))


def test_every_statement_has_a_name_of_its_own():
    for role in ALL:
        for policy in policies(role):
            sids = [statement["Sid"] for statement in policy["Statement"]]
            assert len(sids) == len(set(sids)) and all(sid.isalnum() for sid in sids), sids


def test_policies_are_not_too_long():
    """All inline policies of a role together have 10,240 characters without spaces at most."""
    for address, values in resources().items():
        if address.startswith("aws_iam_role_policy."):
            assert len("".join(values["policy"].split())) < 9_000, address


def test_no_action_is_a_pattern_and_only_what_aws_can_not_narrow_is_for_everything():
    everything = {"ec2:Describe", "ssm:DescribeParameters", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface"}
    for role in ALL:
        for statement in (it for policy in policies(role) for it in policy["Statement"] if it["Effect"] == "Allow"):
            actions = iam.listed(statement["Action"])
            assert not any("*" in action for action in actions), (role, statement)
            if "*" in iam.listed(statement["Resource"]):
                assert all(action.startswith(tuple(everything)) for action in actions), (role, statement)


def test_every_condition_and_denial_keeps_somebody_out():
    """Taken out of its policy, each lets something through that must not be."""
    idle = []
    for role in ALL:
        whole = policies(role)
        refused = [(action, resource, {k.lower(): v for k, v in context.items()}) for it, action, resource, context in MUST_NOT if it == role]
        for policy in whole:
            for number, statement in enumerate(policy["Statement"]):
                # NoSecrets keeps out what is not said here but in a key's own policy: see the next test.
                if statement["Effect"] == "Allow" and "Condition" not in statement or statement["Sid"] == "NoSecrets":
                    continue
                others = [it for it in whole if it is not policy]
                without = [] if statement["Effect"] == "Deny" else [{k: v for k, v in statement.items() if k != "Condition"}]
                changed = {"Statement": policy["Statement"][:number] + without + policy["Statement"][number + 1 :]}
                if not any(iam.decide([*others, changed], *case) for case in refused):
                    idle.append(f"{role}: {statement['Sid']}")
    assert not idle, "\n".join(idle)


def test_housekeep_reads_no_secret_though_aws_own_key_is_everybodys():
    """The policy of AWS's own key for SSM lets whoever may read a parameter decrypt it."""
    key = [{"Statement": [{"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*", "Condition": {"StringEquals": via("ssm")}}]}]
    own = "arn:aws:kms:eu-west-1:123456789012:key/alias-aws-ssm"
    assert iam.allows(policies("scale-up") + key, "kms:Decrypt", own, **via("ssm"))
    assert not iam.allows(policies("housekeep") + key, "kms:Decrypt", own, **via("ssm"))
