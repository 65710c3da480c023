# Events that did not get to the user's bus. Nothing else is lost by that, so it is a metric and no dead letter.
resource "aws_cloudwatch_log_metric_filter" "event_bus" {
  count          = var.event_bus == null ? 0 : 1
  name           = "${local.prefix}-event-bus"
  log_group_name = aws_cloudwatch_log_group.control["webhook"].name
  # The line of handlers/webhook/publish.rs.
  pattern = "\"An event did not get to the bus\""

  metric_transformation {
    namespace     = "Dayfly"
    name          = "EventBusFailures-${var.deployment}"
    value         = "1"
    default_value = "0"
    unit          = "Count"
  }
}
