locals {
  # One zip; the handler's name says which of its functions it is.
  functions = merge({
    webhook   = { timeout = var.function_timeouts.webhook }
    scale-up  = { timeout = var.function_timeouts.scale_up }
    lifecycle = { timeout = var.function_timeouts.lifecycle }
    # Less than a minute: one run ends before the next begins.
    reconcile = { timeout = 55 }
  }, local.keepers)

  environment_all = {
    DAYFLY_DEPLOYMENT     = var.environment
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
    nonsensitive(var.github.ca_certificates == null) ? {} : { DAYFLY_GITHUB_CA = nonsensitive(var.github.ca_certificates) },
  )
  environment_bus = local.has_bus ? { DAYFLY_EVENT_BUS = local.event_bus } : {}

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
  # checkov:skip=CKV_AWS_272: Signing needs a profile and a signed zip of the user's; the zip comes from where Terraform runs, into a bucket that only it writes.
  # checkov:skip=CKV_AWS_50: The webhook's trace id leads through every log line; segments would cost a call more for each job.
  for_each         = local.functions
  function_name    = "${local.prefix}-${each.key}"
  role             = local.function_roles[each.key]
  s3_bucket        = aws_s3_object.control.bucket
  s3_key           = aws_s3_object.control.key
  source_code_hash = filebase64sha256(var.control_zip)
  runtime          = "provided.al2023"
  handler          = each.key
  architectures    = [var.architecture]
  memory_size      = var.function_memory[replace(each.key, "-", "_")]
  timeout          = each.value.timeout
  kms_key_arn      = local.key_arn
  tags             = local.tags

  # -1 is the provider's word for none.
  reserved_concurrent_executions = coalesce(var.function_concurrency[replace(each.key, "-", "_")], -1)

  environment {
    variables = local.environment[each.key]
  }

  # Lambda tries what a schedule started three times, and then tells nobody but this queue. reconcile has none: it starts anew
  # each minute.
  dynamic "dead_letter_config" {
    for_each = contains(keys(local.keepers), each.key) ? [local.keepers_dead_letter_arn] : []
    content {
      target_arn = dead_letter_config.value
    }
  }

  dynamic "vpc_config" {
    for_each = var.function_network[*]
    content {
      subnet_ids         = vpc_config.value.subnet_ids
      security_group_ids = vpc_config.value.security_groups
    }
  }

  lifecycle {
    precondition {
      # Lambda measures the JSON of all: https://github.com/github-aws-runners/terraform-aws-github-runner/issues/3594
      condition     = length(jsonencode(local.environment[each.key])) <= 4096
      error_message = "Lambda takes 4096 characters of environment, and ${local.prefix}-${each.key} has ${length(jsonencode(local.environment[each.key]))}: fewer or shorter github.ca_certificates (the root alone, by an elliptic curve), github.more_apps or github_hooks."
    }
  }

  # Lambda would make the group itself, without an end to its logs. And it looks at once whether the role may make network
  # interfaces, and may send to the dead-letter queue.
  depends_on = [aws_cloudwatch_log_group.control, aws_iam_role_policy.control]
}

# By way of S3, since the provider uploads functions from files one after the other.
resource "aws_s3_object" "control" {
  bucket       = local.bucket
  key          = "${local.bucket_prefix}control.zip"
  source       = var.control_zip
  source_hash  = filemd5(var.control_zip)
  content_type = "application/zip"
  tags         = local.tags

  depends_on = [aws_s3_bucket_versioning.dayfly]
}

resource "aws_cloudwatch_log_group" "control" {
  # checkov:skip=CKV_AWS_338: As the API's.
  for_each          = local.functions
  name              = "/aws/lambda/${local.prefix}-${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = local.key_arn
  tags              = local.tags
}
