# Events that did not get to the user's bus. Nothing else is lost by that, so it is a metric and no dead letter.
resource "aws_cloudwatch_log_metric_filter" "event_bus" {
  for_each       = toset(var.event_bus == null ? [] : ["webhook", "scale-up", "lifecycle", "reconcile"])
  name           = "${local.prefix}-event-bus-${each.key}"
  log_group_name = aws_cloudwatch_log_group.control[each.key].name
  # The lines of handlers/webhook/publish.rs and told.rs.
  pattern = "\"An event did not get to the bus\""

  metric_transformation {
    namespace     = "Dayfly"
    name          = "EventBusFailures-${var.deployment}"
    value         = "1"
    default_value = "0"
    unit          = "Count"
  }
}
