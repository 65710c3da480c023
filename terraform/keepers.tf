# Functions that nothing waits for: they run by a schedule and keep things in order.

locals {
  keepers            = merge(local.sync_runner.function, local.housekeep.function)
  keeper_environment = merge(local.sync_runner.environment, local.housekeep.environment)
  keeper_policies    = merge(local.sync_runner.policy, local.housekeep.policy)
  keeper_schedules   = merge(local.sync_runner.schedule, local.housekeep.schedule)

  keepers_dead_letter_arn = "arn:${local.partition}:sqs:${local.region}:${local.account}:${local.prefix}-keepers-dlq"
  may_tell_of_failures = [{
    # By Lambda, in the function's name: the event whose three tries all failed.
    Sid      = "TellOfFailures"
    Effect   = "Allow"
    Action   = "sqs:SendMessage"
    Resource = local.keepers_dead_letter_arn
  }]
}

resource "aws_sqs_queue" "keepers_dead" {
  count                     = length(local.keepers) == 0 ? 0 : 1
  name                      = "${local.prefix}-keepers-dlq"
  message_retention_seconds = 14 * 24 * 3600
  sqs_managed_sse_enabled   = local.has_key ? null : true
  kms_master_key_id         = local.key_arn
  policy                    = local.queue_policies["keepers-dlq"]
  tags                      = local.tags
}

resource "aws_cloudwatch_event_rule" "keeper" {
  for_each            = local.keeper_schedules
  name                = "${local.prefix}-${each.key}"
  description         = "Runs Dayfly's function ${each.key}"
  schedule_expression = each.value
  tags                = local.tags
}

resource "aws_cloudwatch_event_target" "keeper" {
  for_each = local.keeper_schedules
  rule     = aws_cloudwatch_event_rule.keeper[each.key].name
  arn      = aws_lambda_function.control[each.key].arn
}

resource "aws_lambda_permission" "keeper" {
  for_each      = local.keeper_schedules
  statement_id  = "schedule"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.control[each.key].function_name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.keeper[each.key].arn
}
