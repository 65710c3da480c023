locals {
  # wake: "look at this fleet". lifecycle: what agents report.
  queues = {
    # A look that waits for its turn at GitHub or SSM holds its place for as long as its function may run; those of other
    # fleets must find one beside it. Scale-ups of one fleet take turns in the ledger.
    wake      = { timeout = var.function_timeouts.scale_up, concurrency = min(20, coalesce(var.function_concurrency.scale_up, 20)) }
    lifecycle = { timeout = var.function_timeouts.lifecycle, concurrency = min(5, coalesce(var.function_concurrency.lifecycle, 5)) }
  }

  # What AWS makes of the names. Written out, so that all that names a queue need not wait for the minute that the
  # provider takes to make one.
  queue_urls             = { for name in keys(local.queues) : name => "https://sqs.${local.region}.${data.aws_partition.current.dns_suffix}/${local.account}/${local.prefix}-${name}" }
  dead_letter_queue_urls = { for name, url in local.queue_urls : name => "${url}-dlq" }
  dead_letter_queue_arns = { for name, arn in local.queue_arns : name => "${arn}-dlq" }
  queue_arns             = { for name in keys(local.queues) : name => "arn:${local.partition}:sqs:${local.region}:${local.account}:${local.prefix}-${name}" }

  # With the queue: the provider waits for half a minute with each policy that is a resource of its own.
  queue_policies = { for name in concat(keys(local.queues), [for name in keys(local.queues) : "${name}-dlq"], ["keepers-dlq"]) : name => jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "TlsOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "sqs:*"
      Resource  = "arn:${local.partition}:sqs:${local.region}:${local.account}:${local.prefix}-${name}"
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  }) }
}

resource "aws_sqs_queue" "dead" {
  for_each                  = local.queues
  name                      = "${local.prefix}-${each.key}-dlq"
  message_retention_seconds = 14 * 24 * 3600
  sqs_managed_sse_enabled   = local.has_key ? null : true
  kms_master_key_id         = local.key_arn
  policy                    = local.queue_policies["${each.key}-dlq"]
  tags                      = local.tags

  # No other queue's dead letters.
  redrive_allow_policy = jsonencode({ redrivePermission = "byQueue", sourceQueueArns = [local.queue_arns[each.key]] })
}

resource "aws_sqs_queue" "queue" {
  for_each = local.queues
  name     = "${local.prefix}-${each.key}"
  # Lambda wants at least the function's timeout. No more: a function that was killed leaves its messages hidden for
  # so long, and a job waits.
  visibility_timeout_seconds = each.value.timeout
  receive_wait_time_seconds  = 20
  message_retention_seconds  = 24 * 3600
  sqs_managed_sse_enabled    = local.has_key ? null : true
  kms_master_key_id          = local.key_arn
  policy                     = local.queue_policies[each.key]
  tags                       = local.tags

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead[each.key].arn
    # A message comes back while EC2 has no capacity or GitHub asks to wait, which is no reason to drop it soon. Of a batch of
    # lifecycle's also those come back that it had no time for, and for what an agent has told nobody else makes up soon.
    maxReceiveCount = each.key == "lifecycle" ? 200 : 20
  })
}

resource "aws_lambda_event_source_mapping" "queue" {
  for_each                           = { wake = "scale-up", lifecycle = "lifecycle" }
  event_source_arn                   = aws_sqs_queue.queue[each.key].arn
  function_name                      = aws_lambda_function.control[each.value].arn
  batch_size                         = 10
  maximum_batching_window_in_seconds = 0
  function_response_types            = ["ReportBatchItemFailures"]
  tags                               = local.tags

  scaling_config {
    maximum_concurrency = local.queues[each.key].concurrency
  }

  # A mapping can't be made before its function may read the queue.
  depends_on = [aws_iam_role_policy.control]
}
