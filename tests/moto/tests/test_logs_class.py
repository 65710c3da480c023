import pytest


@pytest.mark.parametrize(("asked", "told"), [({}, "STANDARD"), ({"logGroupClass": "INFREQUENT_ACCESS"}, "INFREQUENT_ACCESS")])
def test_a_log_group_has_a_class(laptop, name, asked, told):
    logs = laptop.aws("logs")
    logs.create_log_group(logGroupName=name, **asked)
    (group,) = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    assert group["logGroupClass"] == told
