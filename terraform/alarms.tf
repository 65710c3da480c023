# When somebody has to look. Each alarm's name says what is wrong; docs/terraform.md says what to do.

locals {
  # What an alarm does not say of itself. What nobody tells is well: an empty queue that nobody uses tells nothing after a while, and
  # nothing is told of jobs while none is queued.
  alarm_defaults = {
    statistic           = "Sum"
    period              = 300
    evaluation_periods  = 1
    comparison_operator = "GreaterThanOrEqualToThreshold"
    treat_missing_data  = "notBreaching"
  }

  # In words, for one is not "1 times".
  times    = try(var.alarms.errors, 0) == 1 ? "once" : "${try(var.alarms.errors, 0)} times"
  offers   = try(var.alarms.capacity_errors, 0) == 1 ? "an offer" : "${try(var.alarms.capacity_errors, 0)} offers"
  requests = try(var.alarms.github_remaining, 0) == 1 ? "No request is left" : "Fewer than ${try(var.alarms.github_remaining, 0)} requests are left"

  # By their names, behind dayfly-<environment>-. Of one element or none, as `alarms` is.
  alarms = merge({}, [for say in var.alarms[*] : merge(
    { for name, queue in merge({ for name, queue in aws_sqs_queue.dead : "${name}-dlq" => queue.name }, { for name in aws_sqs_queue.keepers_dead[*].name : "keepers-dlq" => name }) :
      "${name}-not-empty" => {
        description         = "Messages that could not be understood, or whose work failed again and again, are in ${queue}."
        namespace           = "AWS/SQS"
        metric_name         = "ApproximateNumberOfMessagesVisible"
        dimensions          = { QueueName = queue }
        statistic           = "Maximum"
        comparison_operator = "GreaterThanThreshold"
        threshold           = 0
      }
    },
    { for name, queue in aws_sqs_queue.queue : "${name}-waits" => {
      description         = "A message has waited in ${queue.name} for more than ${say.queue_age_seconds} s."
      namespace           = "AWS/SQS"
      metric_name         = "ApproximateAgeOfOldestMessage"
      dimensions          = { QueueName = queue.name }
      statistic           = "Maximum"
      period              = 60
      evaluation_periods  = 5
      comparison_operator = "GreaterThanThreshold"
      threshold           = say.queue_age_seconds
    } },
    { for name, function in aws_lambda_function.control : "${name}-fails" => {
      description = "The function ${function.function_name} has failed ${contains(keys(local.keepers), name) ? "once" : local.times} in five minutes: see its log."
      namespace   = "AWS/Lambda"
      metric_name = "Errors"
      dimensions  = { FunctionName = function.function_name }
      # What runs once an hour or a day does not fail three times in five minutes.
      threshold = contains(keys(local.keepers), name) ? 1 : say.errors
    } },
    # In front of the fleet's name a slash, which no environment has: no other deployment's alarm is called so.
    { for name in keys(var.fleets) : "no-runner/${name}" => {
      description         = "A job of fleet ${name} has been queued for more than ${say.no_runner_seconds} s: see `dayfly jobs` and `dayfly explain`."
      namespace           = "Dayfly"
      metric_name         = "OldestQueued"
      dimensions          = { Deployment = var.environment, Fleet = name }
      statistic           = "Maximum"
      period              = 60
      evaluation_periods  = 3
      comparison_operator = "GreaterThanThreshold"
      threshold           = 1000 * say.no_runner_seconds
    } },
    # By those that ask GitHub most, and tell what is left.
    { for name in ["scale-up", "reconcile"] : "${name}-github-limit" => {
      description         = "${local.requests} before GitHub's limit: see github.more_apps."
      namespace           = "Dayfly"
      metric_name         = "GitHubRemaining"
      dimensions          = { Deployment = var.environment, Function = name }
      statistic           = "Minimum"
      comparison_operator = "LessThanThreshold"
      threshold           = say.github_remaining
    } },
    {
      # What a function can't do it answers, or leaves to its next run: Lambda counts no error then.
      webhook-5xx = {
        description = "GitHub was answered with an error ${local.times} in five minutes: its webhooks are not taken. See the webhook's log."
        namespace   = "AWS/ApiGateway"
        metric_name = "5xx"
        dimensions  = { ApiId = aws_apigatewayv2_api.webhook.id }
        threshold   = say.errors
      }
      reconcile-refused = {
        description = "Reconcile could not look after something ${local.times} in five minutes: see its log."
        namespace   = "Dayfly"
        metric_name = "Refused"
        dimensions  = { Deployment = var.environment, Function = "reconcile", Reason = "reconcile" }
        threshold   = say.errors
      }
      # It runs each minute and tells how long it took. Whoever looks after all the others must not be missed in silence.
      reconcile-silent = {
        description         = "Reconcile has not run for ten minutes: is its schedule on, and what does its log say?"
        namespace           = "Dayfly"
        metric_name         = "Duration"
        dimensions          = { Deployment = var.environment, Function = "reconcile" }
        statistic           = "SampleCount"
        evaluation_periods  = 2
        comparison_operator = "LessThanThreshold"
        threshold           = 1
        treat_missing_data  = "breaching"
      }
      no-capacity = {
        description = "EC2 had no capacity for ${local.offers} in fifteen minutes: more instance types, subnets, or on_demand_fallback."
        threshold   = say.capacity_errors
        # Over all types and zones, which nobody knows beforehand.
        expression = "SELECT SUM(CapacityErrors) FROM SCHEMA(\"Dayfly\", Deployment, InstanceType, Zone) WHERE Deployment = '${var.environment}'"
      }
    },
  )]...)
}

resource "aws_cloudwatch_metric_alarm" "dayfly" {
  for_each            = { for name, alarm in local.alarms : name => merge(local.alarm_defaults, alarm) }
  alarm_name          = "${local.prefix}-${each.key}"
  alarm_description   = each.value.description
  namespace           = try(each.value.namespace, null)
  metric_name         = try(each.value.metric_name, null)
  dimensions          = try(each.value.dimensions, null)
  statistic           = can(each.value.expression) ? null : each.value.statistic
  period              = can(each.value.expression) ? null : each.value.period
  evaluation_periods  = each.value.evaluation_periods
  comparison_operator = each.value.comparison_operator
  threshold           = each.value.threshold
  treat_missing_data  = each.value.treat_missing_data
  alarm_actions       = var.alarms.actions
  ok_actions          = var.alarms.actions
  tags                = local.tags

  dynamic "metric_query" {
    for_each = try([each.value.expression], [])
    content {
      id          = "capacity"
      label       = "Offers without capacity"
      period      = 900
      return_data = true
      expression  = metric_query.value
    }
  }
}
