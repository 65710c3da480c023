def test_the_sixteenth_template_and_version_are_on_the_next_page(ec2, name):
    data = {"ImageId": "ami-12345678"}
    for number in range(16):
        ec2.create_launch_template(LaunchTemplateName=f"{name}-{number}", LaunchTemplateData=data)
    for _ in range(15):
        ec2.create_launch_template_version(LaunchTemplateName=f"{name}-0", LaunchTemplateData=data)

    first = ec2.describe_launch_templates()
    assert len(first["LaunchTemplates"]) == 15 and first["NextToken"]
    pages = ec2.get_paginator("describe_launch_templates").paginate()
    ours = [it["LaunchTemplateName"] for page in pages for it in page["LaunchTemplates"]]
    assert sorted(it for it in ours if it.startswith(name)) == sorted(f"{name}-{number}" for number in range(16))

    pages = list(ec2.get_paginator("describe_launch_template_versions").paginate(LaunchTemplateName=f"{name}-0"))
    assert [len(page["LaunchTemplateVersions"]) for page in pages] == [15, 1]
    assert [it["VersionNumber"] for page in pages for it in page["LaunchTemplateVersions"]] == list(range(1, 17))


def test_who_asks_for_few_gets_few(ec2, name):
    for number in range(3):
        ec2.create_launch_template(LaunchTemplateName=f"{name}-{number}", LaunchTemplateData={"ImageId": "ami-12345678"})
    names = [f"{name}-{number}" for number in range(3)]
    pages = ec2.get_paginator("describe_launch_templates").paginate(LaunchTemplateNames=names, PaginationConfig={"PageSize": 2})
    assert [len(page["LaunchTemplates"]) for page in pages] == [2, 1]
