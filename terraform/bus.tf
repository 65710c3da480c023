# What state changes are put on: yours, or one that is made here.

locals {
  # Not by the ARN, which is unknown as long as the bus is made by the same apply.
  has_bus   = var.event_bus != null
  own_bus   = try(var.event_bus.create, false)
  event_bus = local.own_bus ? one(aws_cloudwatch_event_bus.dayfly[*].name) : try(coalesce(var.event_bus.arn, var.event_bus.name), null)
  event_bus_arn = local.own_bus ? one(aws_cloudwatch_event_bus.dayfly[*].arn) : var.event_bus == null ? null : (
    var.event_bus.name == null ? var.event_bus.arn : "arn:${local.partition}:events:${local.region}:${local.account}:event-bus/${var.event_bus.name}"
  )
}

resource "aws_cloudwatch_event_bus" "dayfly" {
  count = local.own_bus ? 1 : 0
  name  = local.prefix
  tags  = local.tags
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
