"""lambda_nothing_runs.py, lambda_fields.py, and the code by the control channel."""

import io
import json
import zipfile

import pytest
from botocore.exceptions import ClientError


def zipped(text):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("bootstrap", text)
    return made.getvalue()


@pytest.fixture
def function(laptop, name):
    role = laptop.aws("iam").create_role(RoleName=name, AssumeRolePolicyDocument="{}")["Role"]["Arn"]

    def make(**more):
        fields = {"FunctionName": name, "Role": role, "Runtime": "provided.al2023", "Handler": "webhook"} | more
        return laptop.aws("lambda").create_function(**({"Code": {"ZipFile": zipped("one")}} | fields))

    return make


def test_a_function_is_not_run(laptop, function, name):
    function()
    with pytest.raises(ClientError, match="Lambda host runs functions"):
        laptop.aws("lambda").invoke(FunctionName=name, Payload=b"{}")


def test_a_queue_with_a_mapping_keeps_its_messages_for_the_lambda_host(laptop, function, name):
    sqs, client = laptop.aws("sqs"), laptop.aws("lambda")
    function()
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    client.create_event_source_mapping(
        EventSourceArn=arn, FunctionName=name, BatchSize=10, FunctionResponseTypes=["ReportBatchItemFailures"]
    )
    sqs.send_message(QueueUrl=queue, MessageBody="x")
    (message,) = sqs.receive_message(QueueUrl=queue, AttributeNames=["ApproximateReceiveCount"])["Messages"]
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"


def test_the_code_is_told_and_follows_an_update(laptop, function, name):
    function()
    assert laptop.ask(f"functions/{name}/code") == (200, zipped("one")) or _same(laptop, name, "one")
    laptop.aws("lambda").update_function_code(FunctionName=name, ZipFile=zipped("two"))
    assert _same(laptop, name, "two")
    assert laptop.ask("functions/nobody/code")[0] == 404


def test_the_code_may_come_from_s3(laptop, function, name):
    s3 = laptop.aws("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket=name, Key="control.zip", Body=zipped("from s3"))
    function(Code={"S3Bucket": name, "S3Key": "control.zip"})
    assert _same(laptop, name, "from s3")


def _same(laptop, name, text):
    status, code = laptop.ask(f"functions/{name}/code")
    return status == 200 and zipfile.ZipFile(io.BytesIO(code)).read("bootstrap").decode() == text


def test_fields_that_terraform_reads_back(laptop, function, name):
    client = laptop.aws("lambda")
    logging = {"LogFormat": "JSON", "LogGroup": "/aws/lambda/x", "ApplicationLogLevel": "INFO", "SystemLogLevel": "WARN"}
    function(LoggingConfig=logging, KMSKeyArn="arn:aws:kms:eu-west-1:123456789012:key/1")
    found = client.get_function_configuration(FunctionName=name)
    assert found["LoggingConfig"] == logging
    assert found["KMSKeyArn"].endswith("key/1")
    client.update_function_configuration(
        FunctionName=name, KMSKeyArn="", TracingConfig={"Mode": "Active"}, EphemeralStorage={"Size": 1024}
    )
    found = client.get_function_configuration(FunctionName=name)
    assert "KMSKeyArn" not in found
    assert (found["TracingConfig"]["Mode"], found["EphemeralStorage"]["Size"]) == ("Active", 1024)


def test_a_function_without_logging_has_lambdas_own(function):
    made = function()
    assert made["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{made['FunctionName']}"}
    assert json.dumps(made, default=str)
