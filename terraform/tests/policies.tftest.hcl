# Who may do what. moto does not judge conditions, so what the policies say is held fast here.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  deployment  = "main"
  vpc_id      = "vpc-0123456789abcdef0"
  subnets     = ["subnet-1"]
  control_zip = "tests/control.zip"

  github = {
    app_id         = "1001"
    app_key        = "-----BEGIN RSA PRIVATE KEY-----"
    webhook_secret = "0123456789abcdef"
  }

  fleets = {
    linux-x64 = {
      labels         = ["linux"]
      max            = 50
      github         = { level = "organization" }
      image_id       = "ami-0123456789abcdef0"
      instance_types = ["c7i.large"]
    }
  }
}

run "roles" {
  command = apply

  assert {
    condition = jsonencode({ for statement in jsondecode(aws_iam_role_policy.runner.policy).Statement : statement.Sid => {
      action    = jsonencode(statement.Action)
      resource  = statement.Resource
      condition = jsonencode(try(statement.Condition, null))
      } }) == jsonencode({
      OwnRegistration = {
        action    = jsonencode(["ssm:DeleteParameter", "ssm:GetParameter"])
        resource  = "arn:aws:ssm:eu-west-1:123456789012:parameter/dayfly/main/registrations/*"
        condition = jsonencode({ StringLike = { "ec2:SourceInstanceARN" = "*/$${aws:ResourceTag/InstanceId}" } })
      }
      EndItself = {
        action    = jsonencode("ec2:TerminateInstances")
        resource  = "arn:aws:ec2:eu-west-1:123456789012:instance/*"
        condition = jsonencode({ StringEquals = { "aws:ARN" = "$${ec2:SourceInstanceARN}" } })
      }
      Report = {
        action    = jsonencode("sqs:SendMessage")
        resource  = "arn:aws:sqs:eu-west-1:123456789012:dayfly-main-lifecycle"
        condition = "null"
      }
    })
    error_message = "an instance takes its own registration, ends itself, reports, and nothing else: ${aws_iam_role_policy.runner.policy}"
  }

  assert {
    condition = jsonencode({ for name, role in aws_iam_role_policy.control : name => sort(distinct(flatten([for statement in jsondecode(role.policy).Statement : statement.Action]))) }) == jsonencode({
      webhook = [
        "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem",
        "logs:CreateLogStream", "logs:PutLogEvents", "s3:GetObject", "sqs:SendMessage", "ssm:GetParameter",
      ]
      scale-up = [
        "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem",
        "ec2:CreateFleet", "ec2:CreateTags", "ec2:DescribeInstances", "ec2:RunInstances", "iam:PassRole",
        "logs:CreateLogStream", "logs:PutLogEvents", "s3:GetObject",
        "sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:SendMessage",
        "ssm:AddTagsToResource", "ssm:DeleteParameter", "ssm:GetParameter", "ssm:PutParameter",
      ]
      lifecycle = [
        "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem",
        "logs:CreateLogStream", "logs:PutLogEvents",
        "sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:SendMessage",
        "ssm:DeleteParameter", "ssm:GetParameter",
      ]
    })
    error_message = "each function may do what its handler does"
  }

  # Only what AWS can't narrow has "*" for its resource.
  assert {
    condition = jsonencode(flatten([for name, role in aws_iam_role_policy.control : [
      for statement in jsondecode(role.policy).Statement : "${name}: ${jsonencode(statement.Action)}" if contains(flatten([statement.Resource]), "*")
    ]])) == jsonencode(["scale-up: \"ec2:DescribeInstances\""])
    error_message = "no permission is for everything"
  }

  assert {
    condition = jsonencode(one([for statement in jsondecode(aws_iam_role_policy.control["scale-up"].policy).Statement : statement.Condition if statement.Sid == "LaunchTagged"])) == jsonencode({
      StringEquals = { "aws:RequestTag/dayfly:deployment" = "main" }
    })
    error_message = "what is launched is tagged with the deployment"
  }

  assert {
    condition = jsonencode(one([for statement in jsondecode(aws_iam_role_policy.control["scale-up"].policy).Statement : statement.Condition if statement.Sid == "TagAtLaunch"])) == jsonencode({
      StringEquals = { "ec2:CreateAction" = ["CreateFleet", "RunInstances"] }
    })
    error_message = "tags are given at launch only"
  }

  assert {
    condition     = one([for statement in jsondecode(aws_iam_role_policy.control["webhook"].policy).Statement : statement.Resource if try(statement.Action, "") == "sqs:SendMessage"]) == "arn:aws:sqs:eu-west-1:123456789012:dayfly-main-wake"
    error_message = "the webhook wakes, and reports nothing"
  }

  assert {
    condition     = length(aws_security_group.runner.ingress) == 0
    error_message = "nothing comes in"
  }

  assert {
    condition     = aws_s3_bucket_public_access_block.dayfly.block_public_policy && aws_s3_bucket_public_access_block.dayfly.block_public_acls
    error_message = "the bucket is private"
  }

  assert {
    condition     = alltrue([for parameter in [aws_ssm_parameter.app_key, aws_ssm_parameter.webhook_secret] : nonsensitive(parameter.type) == "SecureString"])
    error_message = "secrets are encrypted"
  }
}
