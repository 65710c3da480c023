# The function that runs each minute: what it is told, what it may do, and that it ends nobody else's instances.

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
    linux-x64 = {
      labels         = ["linux"]
      max            = 50
      github         = { level = "organization" }
      image_id       = "ami-0123456789abcdef0"
      instance_types = ["c7i.large"]
    }
  }
}

run "each_minute" {
  command = apply

  assert {
    condition     = aws_cloudwatch_event_rule.reconcile.schedule_expression == "rate(1 minute)" && aws_cloudwatch_event_target.reconcile.arn == aws_lambda_function.control["reconcile"].arn
    error_message = "it runs each minute"
  }

  assert {
    condition     = aws_lambda_function.control["reconcile"].timeout < 60 && aws_lambda_function_event_invoke_config.reconcile.maximum_retry_attempts == 0
    error_message = "two runs don't meet"
  }

  assert {
    condition     = aws_lambda_function.control["reconcile"].environment[0].variables.DAYFLY_SILENCE_SECONDS == "600" && !contains(keys(aws_lambda_function.control["reconcile"].environment[0].variables), "DAYFLY_GITHUB_HOOKS")
    error_message = "an agent may be silent for ten minutes"
  }

  assert {
    condition = jsonencode({ for statement in jsondecode(aws_iam_role_policy.control["reconcile"].policy).Statement : statement.Sid => {
      action    = statement.Action
      condition = try(statement.Condition, null)
      } }) == jsonencode({
      AppKey                = { action = "ssm:GetParameter", condition = null }
      EndInstances          = { action = "ec2:TerminateInstances", condition = { StringEquals = { "aws:ResourceTag/dayfly:deployment" = "main" } } }
      Find                  = { action = "ec2:DescribeInstances", condition = null }
      Fleets                = { action = "s3:GetObject", condition = null }
      Ledger                = { action = ["dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem", "dynamodb:Scan"], condition = null }
      ListRegistrations     = { action = "ssm:GetParametersByPath", condition = null }
      Logs                  = { action = ["logs:CreateLogStream", "logs:PutLogEvents"], condition = null }
      TakeBackRegistrations = { action = ["ssm:DeleteParameter", "ssm:GetParameter"], condition = null }
      Wake                  = { action = "sqs:SendMessage", condition = null }
    })
    error_message = "it may do what its handler does, and ends the deployment's own instances alone: ${aws_iam_role_policy.control["reconcile"].policy}"
  }
}

run "slow_heartbeats" {
  command = apply

  variables {
    github_hooks = ["orgs/octo-org/hooks/1", "repos/octo-org/octo-repo/hooks/2"]
    fleets = {
      slow = {
        labels         = ["slow"]
        max            = 5
        github         = { level = "organization" }
        image_id       = "ami-0123456789abcdef0"
        instance_types = ["c7i.large"]
        agent          = { heartbeat_seconds = 600 }
      }
    }
  }

  assert {
    condition     = aws_lambda_function.control["reconcile"].environment[0].variables.DAYFLY_SILENCE_SECONDS == "3000"
    error_message = "five heartbeats of the slowest fleet"
  }

  assert {
    condition     = aws_lambda_function.control["reconcile"].environment[0].variables.DAYFLY_GITHUB_HOOKS == "orgs/octo-org/hooks/1,repos/octo-org/octo-repo/hooks/2"
    error_message = "the hooks are told"
  }
}

run "hooks" {
  command         = plan
  expect_failures = [var.github_hooks]

  variables {
    github_hooks = ["orgs/octo-org"]
  }
}
