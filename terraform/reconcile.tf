# The function that puts right, each minute, what nobody told of.

locals {
  # Five heartbeats may be lost before an instance is looked after, and never less than ten minutes.
  silence_seconds = min(86400, max(600, [for fleet in values(var.fleets) : 5 * coalesce(fleet.agent.heartbeat_seconds, 60)]...))

  environment_reconcile = merge(
    local.environment_all, local.environment_fleets, local.environment_github, local.environment_registrations, local.environment_bus,
    { DAYFLY_SILENCE_SECONDS = local.silence_seconds },
    length(var.github_hooks) == 0 ? {} : { DAYFLY_GITHUB_HOOKS = join(",", var.github_hooks) },
  )

  may_reconcile = concat(local.may_read_secrets, local.may_publish, local.may_take_back_from_s3, local.may_list_s3, [
    # Scan: for jobs that nobody has told of for long.
    merge(local.may_use_ledger, { Action = concat(local.may_use_ledger.Action, ["dynamodb:Scan"]) }),
    local.may_wake, local.may_read_fleets, local.may_be_the_app,
    {
      # EC2 knows no permission for some instances only.
      Sid      = "Find"
      Effect   = "Allow"
      Action   = "ec2:DescribeInstances"
      Resource = "*"
    },
    {
      # Those that are certainly dead.
      Sid       = "EndInstances"
      Effect    = "Allow"
      Action    = "ec2:TerminateInstances"
      Resource  = "${local.ec2}:instance/*"
      Condition = { StringEquals = { "aws:ResourceTag/dayfly:deployment" = var.environment } }
    },
    {
      Sid      = "ListRegistrations"
      Effect   = "Allow"
      Action   = "ssm:GetParametersByPath"
      Resource = "${local.parameter_arn}${local.registration_prefix}"
    },
    {
      Sid    = "TakeBackRegistrations"
      Effect = "Allow"
      # Get: to see whether one was claimed. Without the key it is not decrypted.
      Action   = ["ssm:DeleteParameter", "ssm:GetParameter"]
      Resource = "${local.parameter_arn}${local.registration_prefix}/*"
    },
  ])
  may_list_s3 = concat(
    [for arn in aws_s3_bucket.registrations[*].arn : {
      Sid      = "LookForRegistrations"
      Effect   = "Allow"
      Action   = "s3:ListBucket"
      Resource = arn
    }],
    [for arn in aws_s3_bucket.registrations[*].arn : {
      # S3 tells with this permission alone whether an object is there.
      Sid      = "SeeRegistrations"
      Effect   = "Allow"
      Action   = "s3:GetObject"
      Resource = "${arn}/registrations/*"
    }],
  )
}

resource "aws_cloudwatch_event_rule" "reconcile" {
  name                = "${local.prefix}-reconcile"
  description         = "Dayfly puts right what nobody told of"
  schedule_expression = "rate(1 minute)"
  tags                = local.tags
}

resource "aws_cloudwatch_event_target" "reconcile" {
  rule = aws_cloudwatch_event_rule.reconcile.name
  arn  = aws_lambda_function.control["reconcile"].arn

  # The next minute brings another one.
  retry_policy {
    maximum_event_age_in_seconds = 60
    maximum_retry_attempts       = 0
  }
}

resource "aws_lambda_permission" "reconcile" {
  statement_id  = "reconcile"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.control["reconcile"].function_name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.reconcile.arn
}

# A run that fails is not tried again: the next one looks at the same.
resource "aws_lambda_function_event_invoke_config" "reconcile" {
  function_name                = aws_lambda_function.control["reconcile"].function_name
  maximum_event_age_in_seconds = 60
  maximum_retry_attempts       = 0
}
