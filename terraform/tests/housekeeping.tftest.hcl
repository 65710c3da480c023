# What is cleared away, and who may do it.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  environment = "main"
  vpc_id      = "vpc-0123456789abcdef0"
  subnet_ids  = ["subnet-1"]
  control_zip = "tests/control.zip"

  github = {
    app_id         = "1001"
    app_key        = "-----BEGIN RSA PRIVATE KEY-----"
    webhook_secret = "0123456789abcdef"
  }

  fleets = {
    burst = {
      labels         = ["burst"]
      max            = 5
      handover       = "s3"
      github         = { level = "organization" }
      image          = { parameter = "arn:aws:ssm:eu-west-1:210987654321:parameter/shared/image" }
      instance_types = ["c7i.large"]
    }
  }

  housekeeping = {}
}

run "a_dry_run" {
  command = apply

  assert {
    condition = jsonencode({ for name, value in aws_lambda_function.control["housekeep"].environment[0].variables : name => value if !contains(["DAYFLY_FLEETS", "FLEETS_SHA256"], name) }) == jsonencode({
      DAYFLY_DEPLOYMENT                 = "main"
      DAYFLY_HOUSEKEEP_DRY_RUN          = "true"
      DAYFLY_HOUSEKEEP_IMAGE_DAYS       = "30"
      DAYFLY_HOUSEKEEP_IMAGE_KEEP       = "3"
      DAYFLY_HOUSEKEEP_IMAGE_TAGS       = "{}"
      DAYFLY_HOUSEKEEP_LEFTOVER_HOURS   = "24"
      DAYFLY_HOUSEKEEP_MOST             = "20"
      DAYFLY_LOG                        = "info"
      DAYFLY_REGISTRATION_BUCKET        = "dayfly-main-r-123456789012"
      DAYFLY_REGISTRATION_BUCKET_PREFIX = "registrations/AROAMOCK:"
      DAYFLY_REGISTRATION_PREFIX        = "/dayfly/main/registrations"
      DAYFLY_REPORTS                    = "s3://dayfly-main-123456789012/housekeep"
      DAYFLY_RUNNER_SECURITY_GROUP      = "sg-0123456789abcdef0"
    })
    error_message = "what housekeep is told: ${jsonencode(aws_lambda_function.control["housekeep"].environment[0].variables)}"
  }

  assert {
    condition = jsonencode([for statement in jsondecode(aws_iam_role_policy.control["housekeep"].policy).Statement : [statement.Effect, statement.Action, statement.Resource]]) == jsonencode([
      ["Allow", [
        "ec2:DescribeImages", "ec2:DescribeInstances", "ec2:DescribeLaunchTemplateVersions", "ec2:DescribeLaunchTemplates",
        "ec2:DescribeSpotInstanceRequests", "ec2:DescribeVolumes", "ssm:DescribeParameters",
      ], "*"],
      ["Allow", "ssm:GetParameters", ["arn:aws:ssm:eu-west-1:123456789012:parameter/*", "arn:aws:ssm:eu-west-1:210987654321:parameter/shared/image"]],
      ["Deny", "kms:Decrypt", "*"],
      ["Allow", "s3:ListBucket", "arn:aws:s3:::mock"],
      ["Allow", "sqs:SendMessage", "arn:aws:sqs:eu-west-1:123456789012:dayfly-main-keepers-dlq"],
      ["Allow", "s3:GetObject", "arn:aws:s3:::mock/fleets.json"],
      ["Allow", ["s3:GetObject", "s3:PutObject"], "arn:aws:s3:::mock/housekeep/*"],
      ["Allow", "s3:ListBucket", "arn:aws:s3:::mock"],
      ["Allow", ["logs:CreateLogStream", "logs:PutLogEvents"], "arn:aws:logs:eu-west-1:123456789012:log-group:mock:*"],
    ])
    error_message = "a dry run may look, write its report, and delete nothing: ${aws_iam_role_policy.control["housekeep"].policy}"
  }

  assert {
    condition = jsonencode(one([for statement in jsondecode(aws_iam_role_policy.control["housekeep"].policy).Statement : statement.Condition if statement.Sid == "NoSecrets"])) == jsonencode({
      StringEquals = { "kms:ViaService" = "ssm.eu-west-1.amazonaws.com" }
    })
    error_message = "secrets of SSM stay secret, and the function can still start"
  }

  assert {
    condition     = aws_cloudwatch_event_rule.keeper["housekeep"].schedule_expression == "rate(1 day)" && aws_cloudwatch_event_target.keeper["housekeep"].arn == aws_lambda_function.control["housekeep"].arn
    error_message = "it is run each day"
  }
}

run "in_earnest" {
  command = apply

  variables {
    housekeeping = {
      dry_run    = false
      image_tags = { "dayfly:image" = "*", team = "ci" }
      parameters = ["/images/", "mine"]
    }
  }

  assert {
    condition = jsonencode({ for statement in jsondecode(aws_iam_role_policy.control["housekeep"].policy).Statement : statement.Sid => [statement.Action, statement.Resource, try(statement.Condition, null)] if contains(["ReadParameters", "TakeBackFromS3", "TakeBackRegistrations", "DeleteVolumes", "CancelSpotRequests", "DeleteImages"], statement.Sid) }) == jsonencode({
      CancelSpotRequests = ["ec2:CancelSpotInstanceRequests", "arn:aws:ec2:eu-west-1:123456789012:spot-instances-request/*", null]
      DeleteImages = [
        ["ec2:DeleteSnapshot", "ec2:DeregisterImage"],
        ["arn:aws:ec2:eu-west-1::image/*", "arn:aws:ec2:eu-west-1::snapshot/*"],
        { StringLike = { "aws:ResourceTag/dayfly:image" = "*", "aws:ResourceTag/team" = "ci" } },
      ]
      DeleteVolumes         = ["ec2:DeleteVolume", "arn:aws:ec2:eu-west-1:123456789012:volume/*", { StringEquals = { "aws:ResourceTag/dayfly:deployment" = "main" } }]
      ReadParameters        = ["ssm:GetParameters", ["arn:aws:ssm:eu-west-1:123456789012:parameter/images/*", "arn:aws:ssm:eu-west-1:123456789012:parameter/mine*", "arn:aws:ssm:eu-west-1:210987654321:parameter/shared/image"], null]
      TakeBackFromS3        = ["s3:DeleteObject", "arn:aws:s3:::mock/registrations/*", null]
      TakeBackRegistrations = ["ssm:DeleteParameter", "arn:aws:ssm:eu-west-1:123456789012:parameter/dayfly/main/registrations/*", null]
    })
    error_message = "it deletes what is tagged, and what is the deployment's own: ${aws_iam_role_policy.control["housekeep"].policy}"
  }

  assert {
    condition     = aws_lambda_function.control["housekeep"].environment[0].variables.DAYFLY_HOUSEKEEP_PARAMETERS == "/images/,mine" && aws_lambda_function.control["housekeep"].environment[0].variables.DAYFLY_HOUSEKEEP_DRY_RUN == "false" && aws_lambda_function.control["housekeep"].environment[0].variables.DAYFLY_HOUSEKEEP_IMAGE_TAGS == jsonencode({ "dayfly:image" = "*", team = "ci" })
    error_message = "it is told so"
  }
}

run "without_tags" {
  command = apply

  variables {
    housekeeping = { dry_run = false }
  }

  assert {
    condition     = length([for statement in jsondecode(aws_iam_role_policy.control["housekeep"].policy).Statement : statement if statement.Sid == "DeleteImages"]) == 0
    error_message = "without tags no image may be deleted"
  }
}

run "none" {
  command = plan

  variables {
    housekeeping = null
  }

  assert {
    condition     = !contains(keys(aws_lambda_function.control), "housekeep") && length(aws_cloudwatch_event_rule.keeper) == 0
    error_message = "neither function nor schedule"
  }
}

run "a_wrong_schedule" {
  command         = plan
  expect_failures = [var.housekeeping]
  variables {
    housekeeping = { schedule = "daily" }
  }
}

run "an_empty_tag" {
  command         = plan
  expect_failures = [var.housekeeping]
  variables {
    housekeeping = { image_tags = { "dayfly:image" = "" } }
  }
}

run "a_tag_with_a_wildcard_in_its_name" {
  command         = plan
  expect_failures = [var.housekeeping]
  variables {
    housekeeping = { image_tags = { "dayfly:*" = "linux" } }
  }
}

run "nothing_kept" {
  command         = plan
  expect_failures = [var.housekeeping]
  variables {
    housekeeping = { image_keep = 0 }
  }
}

run "too_soon" {
  command         = plan
  expect_failures = [var.housekeeping]
  variables {
    housekeeping = { leftover_hours = 1 }
  }
}

run "a_wrong_parameter" {
  command         = plan
  expect_failures = [var.housekeeping]
  variables {
    housekeeping = { parameters = ["/images/*"] }
  }
}
