locals {
  # One zip; the handler's name says which of its functions it is.
  functions = merge({
    webhook   = { timeout = var.function_timeouts.webhook, memory = 256 }
    scale-up  = { timeout = var.function_timeouts.scale_up, memory = 512 }
    lifecycle = { timeout = var.function_timeouts.lifecycle, memory = 256 }
    # Less than a minute: one run ends before the next begins.
    reconcile = { timeout = 55, memory = 256 }
  }, local.keepers)

  environment_all = {
    DAYFLY_DEPLOYMENT     = var.deployment
    DAYFLY_TABLE          = aws_dynamodb_table.ledger.name
    DAYFLY_WAKE_QUEUE_URL = local.queue_urls["wake"]
    DAYFLY_LOG            = var.log_level
  }
  # A function reads these once, when it starts. A change here starts it anew.
  # By the object, so that it starts after the document is written.
  environment_fleets = {
    DAYFLY_FLEETS = "s3://${aws_s3_object.fleets.bucket}/${aws_s3_object.fleets.key}"
    FLEETS_SHA256 = sha256(local.fleets_document)
  }
  environment_github = merge(
    local.token_parameter == null ? {
      DAYFLY_GITHUB_APPS = join(",", [for app in local.apps : "${app.id}=${app.parameter}"])
      } : {
      DAYFLY_GITHUB_TOKEN_PARAMETER = local.token_parameter
    },
    {
      DAYFLY_GITHUB_URL = nonsensitive(var.github.api_url)
      # Not of parameters that are not ours: a key that changes there is read with the next start, or once GitHub refuses
      # the old one.
      GITHUB_KEY_VERSION = join(",", concat(
        aws_ssm_parameter.app_key[*].version, values(aws_ssm_parameter.more_app_keys)[*].version, aws_ssm_parameter.github_token[*].version,
      ))
    },
  )
  environment_bus = var.event_bus == null ? {} : { DAYFLY_EVENT_BUS = var.event_bus }

  environment = merge({
    webhook = merge(local.environment_all, local.environment_fleets, local.environment_github, local.environment_bus, {
      DAYFLY_WEBHOOK_SECRET_PARAMETER = aws_ssm_parameter.webhook_secret.name
      WEBHOOK_SECRET_VERSION          = aws_ssm_parameter.webhook_secret.version
    })
    scale-up = merge(local.environment_all, local.environment_fleets, local.environment_github, local.environment_registrations, local.environment_bus, {
      DAYFLY_DEAD_LETTER_QUEUE_URL   = local.dead_letter_queue_urls["wake"]
      DAYFLY_LIMIT_EC2_PER_SECOND    = var.limits.ec2_per_second
      DAYFLY_LIMIT_SSM_PER_SECOND    = var.limits.ssm_per_second
      DAYFLY_LIMIT_GITHUB_PER_MINUTE = var.limits.github_per_minute
    })
    lifecycle = merge(local.environment_all, local.environment_fleets, local.environment_github, local.environment_registrations, local.environment_bus, {
      DAYFLY_DEAD_LETTER_QUEUE_URL = local.dead_letter_queue_urls["lifecycle"]
    })
    reconcile = local.environment_reconcile
  }, local.keeper_environment)
}

resource "aws_lambda_function" "control" {
  for_each         = local.functions
  function_name    = "${local.prefix}-${each.key}"
  role             = aws_iam_role.control[each.key].arn
  s3_bucket        = aws_s3_object.control.bucket
  s3_key           = aws_s3_object.control.key
  source_code_hash = filebase64sha256(var.control_zip)
  runtime          = "provided.al2023"
  handler          = each.key
  architectures    = [var.architecture]
  memory_size      = each.value.memory
  timeout          = each.value.timeout
  tags             = local.tags

  environment {
    variables = local.environment[each.key]
  }

  # Lambda would make the group itself, without an end to its logs.
  depends_on = [aws_cloudwatch_log_group.control]
}

# By way of S3, since the provider uploads functions from files one after the other.
resource "aws_s3_object" "control" {
  bucket       = aws_s3_bucket.dayfly.id
  key          = "control.zip"
  source       = var.control_zip
  source_hash  = filemd5(var.control_zip)
  content_type = "application/zip"
  tags         = local.tags

  depends_on = [aws_s3_bucket_versioning.dayfly]
}

resource "aws_cloudwatch_log_group" "control" {
  for_each          = local.functions
  name              = "/aws/lambda/${local.prefix}-${each.key}"
  retention_in_days = var.log_retention_days
  tags              = local.tags
}
