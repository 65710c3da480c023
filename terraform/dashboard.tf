# What is going on, at a glance.

locals {
  # Those that are an instance, and not stopped; what is spent or gone is none any more.
  costing = join(" OR ", [for state in ["launched", "registered", "busy", "warming", "standby", "withdrawn", "retiring"] : "\"${state}\""])
  # reconcile counts runners each minute, so sixty counts are an hour of one instance.
  instance_hours = { for name in keys(var.fleets) : name => "SUM(SEARCH('{Dayfly,Deployment,Fleet,State} MetricName=\"Runners\" Deployment=\"${var.environment}\" Fleet=\"${name}\" State=(${local.costing})', 'Sum', 3600)) / 60" }
  prices         = try(var.dashboard.prices, {})

  # Lists that are empty take no place.
  graphs = [for graph in [
    {
      title = "Time from queued to running (ms)"
      metrics = flatten([for name in keys(var.fleets) : [for stat in ["p50", "p95"] : jsonencode(
        ["Dayfly", "QueueTime", "Deployment", var.environment, "Fleet", name, { stat = stat, label = "${name} ${stat}" }]
      )]])
    },
    {
      title   = "Oldest queued job (ms)"
      metrics = [for name in keys(var.fleets) : jsonencode(["Dayfly", "OldestQueued", "Deployment", var.environment, "Fleet", name, { stat = "Maximum", label = name }])]
    },
    {
      title   = "Runners by fleet and state"
      metrics = [jsonencode([{ expression = "SEARCH('{Dayfly,Deployment,Fleet,State} MetricName=\"Runners\" Deployment=\"${var.environment}\"', 'Maximum', 60)", id = "runners" }])]
    },
    {
      title   = "Jobs by fleet and action"
      metrics = [jsonencode([{ expression = "SEARCH('{Dayfly,Deployment,Fleet,Action} MetricName=\"Jobs\" Deployment=\"${var.environment}\"', 'Sum', 300)", id = "jobs" }])]
    },
    {
      title   = "Instance hours, each hour"
      metrics = [for number, name in keys(var.fleets) : jsonencode([{ expression = local.instance_hours[name], label = name, id = "hours${number}", period = 3600 }])]
    },
    {
      title   = "Costs (USD, each hour, by the fleet's price)"
      metrics = [for number, name in keys(var.fleets) : jsonencode([{ expression = "${local.instance_hours[name]} * ${local.prices[name]}", label = name, id = "costs${number}", period = 3600 }]) if contains(keys(local.prices), name)]
    },
    {
      title   = "Interrupted jobs, by what became of them"
      metrics = [jsonencode([{ expression = "SEARCH('{Dayfly,Deployment,Fleet,Action} MetricName=\"Reruns\" Deployment=\"${var.environment}\"', 'Sum', 300)", id = "reruns" }])]
    },
    {
      title = "What EC2 did not give"
      metrics = [
        jsonencode([{ expression = "SEARCH('{Dayfly,Deployment,InstanceType,Zone} MetricName=\"CapacityErrors\" Deployment=\"${var.environment}\"', 'Sum', 300)", id = "capacity" }]),
        jsonencode([{ expression = "SEARCH('{Dayfly,Deployment,Function,Fleet,Reason} MetricName=\"LaunchErrors\" Deployment=\"${var.environment}\"', 'Sum', 300)", id = "launches" }]),
      ]
    },
    {
      title   = "What was dropped or refused, and put right"
      metrics = [for number, name in ["Refused", "Mended"] : jsonencode([{ expression = "SEARCH('{Dayfly,Deployment,Function,Reason} MetricName=\"${name}\" Deployment=\"${var.environment}\"', 'Sum', 300)", id = "lines${number}" }])]
    },
    {
      title   = "Requests left at GitHub"
      metrics = [for name in ["scale-up", "reconcile"] : jsonencode(["Dayfly", "GitHubRemaining", "Deployment", var.environment, "Function", name, { stat = "Minimum", label = name }])]
    },
    {
      title   = "Functions that failed"
      metrics = [for name, function in aws_lambda_function.control : jsonencode(["AWS/Lambda", "Errors", "FunctionName", function.function_name, { stat = "Sum", label = name }])]
    },
    {
      title   = "Dead letters"
      metrics = [for queue in concat(values(aws_sqs_queue.dead), aws_sqs_queue.keepers_dead[*]) : jsonencode(["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", queue.name, { stat = "Maximum" }])]
    },
  ] : graph if length(graph.metrics) > 0]
}

resource "aws_cloudwatch_dashboard" "dayfly" {
  count          = var.dashboard == null ? 0 : 1
  dashboard_name = local.prefix

  dashboard_body = jsonencode({
    widgets = [for number, graph in local.graphs : {
      type   = "metric"
      x      = number % 2 * 12
      y      = floor(number / 2) * 6
      width  = 12
      height = 6
      properties = {
        title   = graph.title
        region  = local.region
        view    = "timeSeries"
        stacked = false
        # Written as JSON above, since the parts of one are of different types.
        metrics = [for metric in graph.metrics : jsondecode(metric)]
      }
    }]
  })

  lifecycle {
    precondition {
      condition     = alltrue([for name in keys(local.prices) : contains(keys(var.fleets), name)])
      error_message = "dashboard.prices are by fleet; there is none called ${join(", ", [for name in keys(local.prices) : name if !contains(keys(var.fleets), name)])}."
    }
  }
}
