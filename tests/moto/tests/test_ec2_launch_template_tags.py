def test_the_templates_own_tags_are_not_in_its_data(ec2, name):
    own = {"ResourceType": "launch-template", "Tags": [{"Key": "own", "Value": "1"}]}
    instances = {"ResourceType": "instance", "Tags": [{"Key": "theirs", "Value": "1"}]}
    made = ec2.create_launch_template(
        LaunchTemplateName=name,
        LaunchTemplateData={"ImageId": "ami-12345678", "TagSpecifications": [instances]},
        TagSpecifications=[own],
    )["LaunchTemplate"]
    assert made["Tags"] == own["Tags"]
    (version,) = ec2.describe_launch_template_versions(LaunchTemplateId=made["LaunchTemplateId"])["LaunchTemplateVersions"]
    assert version["LaunchTemplateData"]["TagSpecifications"] == [instances]
