# When somebody has to look. Each alarm's name says what is wrong; docs/terraform.md says what to do.

locals {
  watched       = var.alarms != null
  alarm_actions = try(var.alarms.actions, [])

  watched_dead_letters = local.watched ? merge(
    { for name, queue in aws_sqs_queue.dead : "${name}-dlq" => queue.name },
    { for name in aws_sqs_queue.keepers_dead[*].name : "keepers-dlq" => name },
  ) : {}
}

resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  for_each            = local.watched_dead_letters
  alarm_name          = "${local.prefix}-${each.key}-not-empty"
  alarm_description   = "Messages that could not be understood, or whose work failed again and again, are in ${each.value}."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = each.value }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  # An empty queue that nobody uses tells nothing after a while.
  treat_missing_data = "notBreaching"
  alarm_actions      = local.alarm_actions
  ok_actions         = local.alarm_actions
  tags               = local.tags
}

resource "aws_cloudwatch_metric_alarm" "queue_age" {
  for_each            = local.watched ? aws_sqs_queue.queue : {}
  alarm_name          = "${local.prefix}-${each.key}-waits"
  alarm_description   = "A message has waited in ${each.value.name} for more than ${var.alarms.queue_age_seconds} s."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = each.value.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 5
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.alarms.queue_age_seconds
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
  tags                = local.tags
}

resource "aws_cloudwatch_metric_alarm" "errors" {
  for_each            = local.watched ? aws_lambda_function.control : {}
  alarm_name          = "${local.prefix}-${each.key}-fails"
  alarm_description   = "The function ${each.value.function_name} has failed ${var.alarms.errors} times in five minutes: see its log."
  namespace           = "AWS/Lambda"
  metric_name         = "Errors"
  dimensions          = { FunctionName = each.value.function_name }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  # What runs once an hour or a day does not fail three times in five minutes.
  threshold          = contains(keys(local.keepers), each.key) ? 1 : var.alarms.errors
  treat_missing_data = "notBreaching"
  alarm_actions      = local.alarm_actions
  ok_actions         = local.alarm_actions
  tags               = local.tags
}

# What a function can't do it answers, or leaves to its next run: Lambda counts no error then.
resource "aws_cloudwatch_metric_alarm" "webhook_5xx" {
  count               = local.watched ? 1 : 0
  alarm_name          = "${local.prefix}-webhook-5xx"
  alarm_description   = "GitHub was answered with an error ${var.alarms.errors} times in five minutes: its webhooks are not taken. See the webhook's log."
  namespace           = "AWS/ApiGateway"
  metric_name         = "5xx"
  dimensions          = { ApiId = aws_apigatewayv2_api.webhook.id }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = var.alarms.errors
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
  tags                = local.tags
}

resource "aws_cloudwatch_metric_alarm" "reconcile_refused" {
  count               = local.watched ? 1 : 0
  alarm_name          = "${local.prefix}-reconcile-refused"
  alarm_description   = "Reconcile could not look after something ${var.alarms.errors} times in five minutes: see its log."
  namespace           = "Dayfly"
  metric_name         = "Refused"
  dimensions          = { Deployment = var.environment, Function = "reconcile", Reason = "reconcile" }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = var.alarms.errors
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
  tags                = local.tags
}

# It runs each minute and tells how long it took. Whoever looks after all the others must not be missed in silence.
resource "aws_cloudwatch_metric_alarm" "reconcile_silent" {
  count               = local.watched ? 1 : 0
  alarm_name          = "${local.prefix}-reconcile-silent"
  alarm_description   = "Reconcile has not run for ten minutes: is its schedule on, and what does its log say?"
  namespace           = "Dayfly"
  metric_name         = "Duration"
  dimensions          = { Deployment = var.environment, Function = "reconcile" }
  statistic           = "SampleCount"
  period              = 300
  evaluation_periods  = 2
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  treat_missing_data  = "breaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
  tags                = local.tags
}

resource "aws_cloudwatch_metric_alarm" "no_runner" {
  for_each            = local.watched ? toset(keys(var.fleets)) : []
  alarm_name          = "${local.prefix}-${each.key}-no-runner"
  alarm_description   = "A job of fleet ${each.key} has been queued for more than ${var.alarms.no_runner_seconds} s: see `dayfly jobs` and `dayfly explain`."
  namespace           = "Dayfly"
  metric_name         = "OldestQueued"
  dimensions          = { Deployment = var.environment, Fleet = each.key }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 3
  comparison_operator = "GreaterThanThreshold"
  threshold           = 1000 * var.alarms.no_runner_seconds
  # Nothing is told while no job is queued.
  treat_missing_data = "notBreaching"
  alarm_actions      = local.alarm_actions
  ok_actions         = local.alarm_actions
  tags               = local.tags
}

# By those that ask GitHub most, and tell what is left.
resource "aws_cloudwatch_metric_alarm" "github_limit" {
  for_each            = local.watched ? toset(["scale-up", "reconcile"]) : []
  alarm_name          = "${local.prefix}-${each.key}-github-limit"
  alarm_description   = "Fewer than ${var.alarms.github_remaining} requests are left before GitHub's limit: see github.more_apps."
  namespace           = "Dayfly"
  metric_name         = "GitHubRemaining"
  dimensions          = { Deployment = var.environment, Function = each.key }
  statistic           = "Minimum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "LessThanThreshold"
  threshold           = var.alarms.github_remaining
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
  tags                = local.tags
}

resource "aws_cloudwatch_metric_alarm" "capacity" {
  count               = local.watched ? 1 : 0
  alarm_name          = "${local.prefix}-no-capacity"
  alarm_description   = "EC2 had no capacity for ${var.alarms.capacity_errors} offers in fifteen minutes: more instance types, subnets, or on_demand_fallback."
  evaluation_periods  = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = var.alarms.capacity_errors
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
  tags                = local.tags

  # Over all types and zones, which nobody knows beforehand.
  metric_query {
    id          = "capacity"
    label       = "Offers without capacity"
    period      = 900
    return_data = true
    expression  = "SELECT SUM(CapacityErrors) FROM SCHEMA(\"Dayfly\", Deployment, InstanceType, Zone) WHERE Deployment = '${var.environment}'"
  }
}
