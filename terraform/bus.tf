# What state changes are put on: yours, or one that is made here.

locals {
  has_bus   = var.create_event_bus || var.event_bus != null
  event_bus = var.create_event_bus ? one(aws_cloudwatch_event_bus.dayfly[*].name) : var.event_bus
  event_bus_arn = var.create_event_bus ? one(aws_cloudwatch_event_bus.dayfly[*].arn) : var.event_bus == null ? null : (
    startswith(var.event_bus, "arn:") ? var.event_bus : "arn:${local.partition}:events:${local.region}:${local.account}:event-bus/${var.event_bus}"
  )
}

resource "aws_cloudwatch_event_bus" "dayfly" {
  count = var.create_event_bus ? 1 : 0
  name  = local.prefix
  tags  = local.tags

  lifecycle {
    precondition {
      condition     = var.event_bus == null
      error_message = "Either create_event_bus is true, or event_bus names a bus of yours."
    }
  }
}

# Events that did not get to the bus. Nothing else is lost by that, so it is a metric and no dead letter.
resource "aws_cloudwatch_log_metric_filter" "event_bus" {
  for_each       = toset(local.has_bus ? ["webhook", "scale-up", "lifecycle", "reconcile"] : [])
  name           = "${local.prefix}-event-bus-${each.key}"
  log_group_name = aws_cloudwatch_log_group.control[each.key].name
  # The lines of handlers/webhook/publish.rs and told.rs.
  pattern = "\"An event did not get to the bus\""

  metric_transformation {
    namespace     = "Dayfly"
    name          = "EventBusFailures-${var.environment}"
    value         = "1"
    default_value = "0"
    unit          = "Count"
  }
}
