# Releases of the runner in a bucket, and fleets that install them.

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
    arm = {
      labels         = ["arm"]
      max            = 5
      github         = { level = "organization" }
      image_id       = "ami-0123456789abcdef0"
      instance_types = ["c7g.large"]
      agent          = { runner_source = { platform = "linux-arm64", version = "2.330.0" } }
    }
    x64 = {
      labels         = ["x64"]
      max            = 5
      github         = { level = "organization" }
      image_id       = "ami-0123456789abcdef0"
      instance_types = ["c7i.large"]
      agent          = { runner_source = { platform = "linux-x64" } }
    }
  }

  runner_versions = { delay_hours = 48, token_parameter = "/mine/token" }
}

run "kept" {
  command = apply

  assert {
    condition = jsonencode({ for name, text in local.agent_config_text : name => jsondecode(text).runner.source }) == jsonencode({
      arm = { bucket = "dayfly-main-v-123456789012", prefix = "runners/linux-arm64", version = "2.330.0" }
      x64 = { bucket = "dayfly-main-v-123456789012", prefix = "runners/linux-x64", version = "latest" }
    })
    error_message = "agents look where sync-runner writes: ${jsonencode(local.agent_config_text)}"
  }

  assert {
    condition = jsonencode(aws_lambda_function.control["sync-runner"].environment[0].variables) == jsonencode({
      DAYFLY_DEPLOYMENT               = "main"
      DAYFLY_LOG                      = "info"
      DAYFLY_RELEASES_TOKEN_PARAMETER = "/mine/token"
      DAYFLY_RELEASES_URL             = "https://api.github.com"
      DAYFLY_RUNNERS                  = "s3://dayfly-main-v-123456789012/runners"
      DAYFLY_RUNNER_ALSO              = "2.330.0"
      DAYFLY_RUNNER_DELAY_HOURS       = "48"
      DAYFLY_RUNNER_KEEP              = "3"
      DAYFLY_RUNNER_PLATFORMS         = "linux-x64,linux-arm64"
      DAYFLY_RUNNER_VERSION           = "latest"
    })
    error_message = "what sync-runner is told: ${jsonencode(aws_lambda_function.control["sync-runner"].environment[0].variables)}"
  }

  assert {
    condition = jsonencode([for statement in jsondecode(aws_iam_role_policy.control["sync-runner"].policy).Statement : [statement.Action, statement.Resource]]) == jsonencode([
      [["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"], "arn:aws:s3:::dayfly-main-v-123456789012/runners/*"],
      ["s3:ListBucket", "arn:aws:s3:::dayfly-main-v-123456789012"],
      ["ssm:GetParameter", "arn:aws:ssm:eu-west-1:123456789012:parameter/mine/token"],
      ["sqs:SendMessage", "arn:aws:sqs:eu-west-1:123456789012:dayfly-main-keepers-dlq"],
      [["logs:CreateLogStream", "logs:PutLogEvents"], "arn:aws:logs:eu-west-1:123456789012:log-group:mock:*"],
    ])
    error_message = "sync-runner writes runners, and may do nothing else: ${aws_iam_role_policy.control["sync-runner"].policy}"
  }

  assert {
    condition     = jsonencode(sort(jsondecode(one(aws_iam_role_policy.runner_source).policy).Statement[0].Resource)) == jsonencode(["arn:aws:s3:::dayfly-main-v-123456789012/runners/linux-arm64/*", "arn:aws:s3:::dayfly-main-v-123456789012/runners/linux-x64/*"])
    error_message = "instances read the platforms that fleets name"
  }

  assert {
    condition     = one(one(aws_s3_bucket_lifecycle_configuration.runners[0].rule).abort_incomplete_multipart_upload).days_after_initiation == 1
    error_message = "unfinished uploads go after a day"
  }

  assert {
    condition     = aws_s3_bucket_public_access_block.runners[0].block_public_policy && aws_s3_bucket_public_access_block.runners[0].block_public_acls
    error_message = "the bucket is private"
  }

  assert {
    condition     = aws_cloudwatch_event_rule.keeper["sync-runner"].schedule_expression == "rate(1 hour)" && aws_lambda_permission.keeper["sync-runner"].principal == "events.amazonaws.com" && aws_lambda_function.control["sync-runner"].timeout == 900
    error_message = "it is run each hour"
  }

  assert {
    condition     = output.runners_bucket == "dayfly-main-v-123456789012"
    error_message = "the bucket is told"
  }
}

run "none" {
  command = plan

  variables {
    runner_versions = null
    fleets = {
      x64 = {
        labels         = ["x64"]
        max            = 5
        github         = { level = "organization" }
        image_id       = "ami-0123456789abcdef0"
        instance_types = ["c7i.large"]
      }
    }
  }

  assert {
    condition     = length(aws_s3_bucket.runners) == 0 && !contains(keys(aws_lambda_function.control), "sync-runner") && !contains(keys(aws_cloudwatch_event_rule.keeper), "sync-runner")
    error_message = "neither bucket nor function nor schedule"
  }
}

run "a_platform_that_is_not_kept" {
  command         = plan
  expect_failures = [aws_s3_object.fleets]
  variables {
    runner_versions = { platforms = ["linux-x64"] }
  }
}

run "a_platform_without_anything_kept" {
  command         = plan
  expect_failures = [aws_s3_object.fleets]
  variables {
    runner_versions = null
  }
}

run "a_platform_and_a_bucket" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, agent = { runner_source = { platform = "linux-x64", bucket = "mine", prefix = "p" } }, github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "a_bucket_without_a_prefix" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, agent = { runner_source = { bucket = "mine" } }, github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "no_platforms" {
  command         = plan
  expect_failures = [var.runner_versions]
  variables {
    runner_versions = { platforms = [] }
  }
}

run "a_wrong_version" {
  command         = plan
  expect_failures = [var.runner_versions]
  variables {
    runner_versions = { version = "v2.336.0" }
  }
}

run "too_few_kept" {
  command         = plan
  expect_failures = [var.runner_versions]
  variables {
    runner_versions = { keep = 1 }
  }
}

run "a_wrong_schedule" {
  command         = plan
  expect_failures = [var.runner_versions]
  variables {
    runner_versions = { schedule = "hourly" }
  }
}

run "a_wrong_token_parameter" {
  command         = plan
  expect_failures = [var.runner_versions]
  variables {
    runner_versions = { token_parameter = "token" }
  }
}

run "a_wrong_url" {
  command         = plan
  expect_failures = [var.runner_versions]
  variables {
    runner_versions = { releases_url = "api.github.com" }
  }
}
