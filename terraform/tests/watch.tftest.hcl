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
    condition     = length(aws_cloudwatch_metric_alarm.dead_letters) + length(aws_cloudwatch_metric_alarm.queue_age) + length(aws_cloudwatch_metric_alarm.errors) + length(aws_cloudwatch_metric_alarm.webhook_5xx) + length(aws_cloudwatch_metric_alarm.reconcile_refused) + length(aws_cloudwatch_metric_alarm.reconcile_silent) + length(aws_cloudwatch_metric_alarm.no_runner) + length(aws_cloudwatch_metric_alarm.github_limit) + length(aws_cloudwatch_metric_alarm.capacity) + length(aws_cloudwatch_dashboard.dayfly) == 0
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
    condition     = { for name, alarm in aws_cloudwatch_metric_alarm.dead_letters : name => alarm.dimensions.QueueName } == { wake-dlq = "dayfly-main-wake-dlq", lifecycle-dlq = "dayfly-main-lifecycle-dlq", keepers-dlq = "dayfly-main-keepers-dlq" }
    error_message = "each dead-letter queue"
  }
  assert {
    condition     = { for name, alarm in aws_cloudwatch_metric_alarm.no_runner : name => [alarm.metric_name, tostring(alarm.threshold), alarm.dimensions.Fleet] } == { large = ["OldestQueued", "60000", "large"], small = ["OldestQueued", "60000", "small"] }
    error_message = "a job without a runner, by fleet"
  }
  assert {
    condition     = { for name, alarm in aws_cloudwatch_metric_alarm.errors : name => alarm.threshold } == { webhook = 5, scale-up = 5, lifecycle = 5, reconcile = 5, housekeep = 1 }
    error_message = "each function; a keeper that fails once"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.webhook_5xx[0].threshold == 5 && aws_cloudwatch_metric_alarm.webhook_5xx[0].dimensions.ApiId == aws_apigatewayv2_api.webhook.id && aws_cloudwatch_metric_alarm.reconcile_refused[0].threshold == 5 && aws_cloudwatch_metric_alarm.reconcile_refused[0].dimensions.Reason == "reconcile"
    error_message = "what is answered with an error, or left to the next run, is none of Lambda's errors"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.reconcile_silent[0].treat_missing_data == "breaching" && aws_cloudwatch_metric_alarm.reconcile_silent[0].alarm_actions == toset(["arn:aws:sns:eu-west-1:123456789012:oncall"])
    error_message = "reconcile that does not run is told"
  }
  assert {
    condition     = { for name, alarm in aws_cloudwatch_metric_alarm.queue_age : name => alarm.threshold } == { wake = 7, lifecycle = 7 } && { for name, alarm in aws_cloudwatch_metric_alarm.github_limit : name => alarm.threshold } == { scale-up = 11, reconcile = 11 } && aws_cloudwatch_metric_alarm.capacity[0].threshold == 13
    error_message = "queues, GitHub's limit, capacity"
  }
  assert {
    condition     = alltrue([for alarm in concat(values(aws_cloudwatch_metric_alarm.dead_letters), values(aws_cloudwatch_metric_alarm.queue_age), values(aws_cloudwatch_metric_alarm.errors), values(aws_cloudwatch_metric_alarm.no_runner), values(aws_cloudwatch_metric_alarm.github_limit), aws_cloudwatch_metric_alarm.capacity[*], aws_cloudwatch_metric_alarm.webhook_5xx[*], aws_cloudwatch_metric_alarm.reconcile_refused[*]) : alarm.alarm_actions == toset(["arn:aws:sns:eu-west-1:123456789012:oncall"]) && alarm.ok_actions == alarm.alarm_actions && alarm.treat_missing_data == "notBreaching"])
    error_message = "each tells when it begins and when it is over"
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
