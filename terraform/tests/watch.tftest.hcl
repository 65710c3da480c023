# Alarms and the dashboard. That what they look at is really written, tests/terraform/checks/test_metrics.py sees to.

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
    large = { labels = ["large"], max = 50, image_id = "ami-0123456789abcdef0", instance_types = ["c7i.4xlarge"] }
    small = { labels = ["small"], max = 50, image_id = "ami-0123456789abcdef0", instance_types = ["c7i.large"] }
  }
}

run "nothing_by_default" {
  command = apply
  assert {
    condition     = length(aws_cloudwatch_metric_alarm.dayfly) + length(aws_cloudwatch_dashboard.dayfly) == 0
    error_message = "neither alarms nor dashboard that nobody asked for"
  }
}

run "alarms" {
  command = apply
  variables {
    alarms       = { actions = ["arn:aws:sns:eu-west-1:123456789012:oncall"], no_runner_seconds = 60, queue_age_seconds = 7, errors = 5, github_remaining = 11, capacity_errors = 13 }
    housekeeping = {}
  }
  assert {
    condition = { for name, alarm in aws_cloudwatch_metric_alarm.dayfly : name => alarm.threshold } == {
      wake-dlq-not-empty      = 0
      lifecycle-dlq-not-empty = 0
      keepers-dlq-not-empty   = 0
      wake-waits              = 7
      lifecycle-waits         = 7
      webhook-fails           = 5
      scale-up-fails          = 5
      lifecycle-fails         = 5
      reconcile-fails         = 5
      housekeep-fails         = 1
      "no-runner/large"       = 60000
      "no-runner/small"       = 60000
      scale-up-github-limit   = 11
      reconcile-github-limit  = 11
      webhook-5xx             = 5
      reconcile-refused       = 5
      reconcile-silent        = 1
      no-capacity             = 13
    }
    error_message = "each queue, function and fleet, and what is answered with an error or left to the next run, which is none of Lambda's errors; a keeper that fails once: ${jsonencode({ for name, alarm in aws_cloudwatch_metric_alarm.dayfly : name => alarm.threshold })}"
  }
  assert {
    condition     = alltrue([for name, alarm in aws_cloudwatch_metric_alarm.dayfly : alarm.alarm_name == "dayfly-main-${name}"])
    error_message = "the fleet's name behind a slash: no alarm of a deployment main-large, whose fleet is small, is called so"
  }
  assert {
    condition = jsonencode([for name in ["wake-dlq-not-empty", "wake-waits", "webhook-fails", "no-runner/small", "reconcile-github-limit", "webhook-5xx", "reconcile-refused", "reconcile-silent"] : [
      aws_cloudwatch_metric_alarm.dayfly[name].metric_name, aws_cloudwatch_metric_alarm.dayfly[name].dimensions, aws_cloudwatch_metric_alarm.dayfly[name].statistic, aws_cloudwatch_metric_alarm.dayfly[name].period, aws_cloudwatch_metric_alarm.dayfly[name].evaluation_periods, aws_cloudwatch_metric_alarm.dayfly[name].comparison_operator,
      ]]) == jsonencode([
      ["ApproximateNumberOfMessagesVisible", { QueueName = "dayfly-main-wake-dlq" }, "Maximum", 300, 1, "GreaterThanThreshold"],
      ["ApproximateAgeOfOldestMessage", { QueueName = "dayfly-main-wake" }, "Maximum", 60, 5, "GreaterThanThreshold"],
      ["Errors", { FunctionName = "dayfly-main-webhook" }, "Sum", 300, 1, "GreaterThanOrEqualToThreshold"],
      ["OldestQueued", { Deployment = "main", Fleet = "small" }, "Maximum", 60, 3, "GreaterThanThreshold"],
      ["GitHubRemaining", { Deployment = "main", Function = "reconcile" }, "Minimum", 300, 1, "LessThanThreshold"],
      ["5xx", { ApiId = aws_apigatewayv2_api.webhook.id }, "Sum", 300, 1, "GreaterThanOrEqualToThreshold"],
      ["Refused", { Deployment = "main", Function = "reconcile", Reason = "reconcile" }, "Sum", 300, 1, "GreaterThanOrEqualToThreshold"],
      ["Duration", { Deployment = "main", Function = "reconcile" }, "SampleCount", 300, 2, "LessThanThreshold"],
    ])
    error_message = "what each looks at, and how"
  }
  assert {
    condition     = strcontains(one(aws_cloudwatch_metric_alarm.dayfly["no-capacity"].metric_query).expression, "WHERE Deployment = 'main'") && one(aws_cloudwatch_metric_alarm.dayfly["no-capacity"].metric_query).period == 900 && aws_cloudwatch_metric_alarm.dayfly["no-capacity"].comparison_operator == "GreaterThanOrEqualToThreshold"
    error_message = "capacity over all types and zones"
  }
  assert {
    condition     = alltrue([for name, alarm in aws_cloudwatch_metric_alarm.dayfly : alarm.alarm_actions == toset(["arn:aws:sns:eu-west-1:123456789012:oncall"]) && alarm.ok_actions == alarm.alarm_actions && alarm.treat_missing_data == (name == "reconcile-silent" ? "breaching" : "notBreaching")])
    error_message = "each tells when it begins and when it is over; a reconcile that does not run tells nothing"
  }
}

run "one_of_each_is_told_as_one" {
  command = apply
  variables {
    alarms          = { queue_age_seconds = 1, errors = 1, no_runner_seconds = 1, github_remaining = 1, capacity_errors = 1 }
    runner_versions = {}
  }
  assert {
    condition     = [for name, alarm in aws_cloudwatch_metric_alarm.dayfly : alarm.alarm_description if can(regex("\\b1 [a-z]{2,}", alarm.alarm_description))] == []
    error_message = "not 1 times, offers or requests"
  }
  assert {
    condition = [for name in ["webhook-fails", "webhook-5xx", "reconcile-refused", "no-capacity", "scale-up-github-limit"] : split(":", aws_cloudwatch_metric_alarm.dayfly[name].alarm_description)[0]] == [
      "The function dayfly-main-webhook has failed once in five minutes", "GitHub was answered with an error once in five minutes",
      "Reconcile could not look after something once in five minutes", "EC2 had no capacity for an offer in fifteen minutes", "No request is left before GitHub's limit",
    ]
    error_message = "in words"
  }
}

run "what_fails_seldom_is_told_at_once" {
  command = apply
  variables {
    alarms          = { errors = 5 }
    runner_versions = {}
  }
  assert {
    condition = [for name in ["sync-runner-fails", "webhook-fails"] : aws_cloudwatch_metric_alarm.dayfly[name].alarm_description] == [
      "The function dayfly-main-sync-runner has failed once in five minutes: see its log.", "The function dayfly-main-webhook has failed 5 times in five minutes: see its log.",
    ]
    error_message = "as often as the alarm waits for"
  }
}

run "dashboard" {
  command = apply
  variables {
    dashboard = { prices = { small = 0.1 } }
  }
  assert {
    condition     = [for widget in jsondecode(aws_cloudwatch_dashboard.dayfly[0].dashboard_body).widgets : widget.properties.title if startswith(widget.properties.title, "Costs")] == ["Costs (USD, each hour, by the fleet's price)"]
    error_message = "costs where there is a price"
  }
  assert {
    condition     = endswith(one([for widget in jsondecode(aws_cloudwatch_dashboard.dayfly[0].dashboard_body).widgets : widget.properties.metrics[0][0].expression if startswith(widget.properties.title, "Costs")]), "/ 60 * 0.1")
    error_message = "instance hours by their price"
  }
}

run "dashboard_without_prices" {
  command = apply
  variables {
    dashboard = {}
  }
  assert {
    condition     = length(jsondecode(aws_cloudwatch_dashboard.dayfly[0].dashboard_body).widgets) == 11
    error_message = "no costs without a price"
  }
}

run "wrong_numbers" {
  command         = plan
  expect_failures = [var.alarms, var.dashboard]
  variables {
    alarms    = { errors = 0 }
    dashboard = { prices = { small = 0 } }
  }
}

run "wrong_actions" {
  command         = plan
  expect_failures = [var.alarms]
  variables {
    alarms = { actions = ["oncall"] }
  }
}

run "a_price_of_no_fleet" {
  command         = plan
  expect_failures = [aws_cloudwatch_dashboard.dayfly[0]]
  variables {
    dashboard = { prices = { tiny = 1 } }
  }
}
