# Functions that nothing waits for: they run by a schedule and keep things in order.

locals {
  keepers            = merge(local.sync_runner.function, local.housekeep.function)
  keeper_environment = merge(local.sync_runner.environment, local.housekeep.environment)
  keeper_policies    = merge(local.sync_runner.policy, local.housekeep.policy)
  keeper_schedules   = merge(local.sync_runner.schedule, local.housekeep.schedule)
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
