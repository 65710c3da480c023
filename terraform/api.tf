resource "aws_apigatewayv2_api" "webhook" {
  name          = "${local.prefix}-webhook"
  description   = "GitHub's webhooks for ${var.environment}"
  protocol_type = "HTTP"
  tags          = local.tags
}

resource "aws_apigatewayv2_integration" "webhook" {
  api_id                 = aws_apigatewayv2_api.webhook.id
  integration_type       = "AWS_PROXY"
  integration_method     = "POST"
  integration_uri        = aws_lambda_function.control["webhook"].invoke_arn
  payload_format_version = "2.0"
}

resource "aws_apigatewayv2_route" "webhook" {
  # checkov:skip=CKV_AWS_309: GitHub signs what it sends, and the function checks that: there is no authorizer that could.
  api_id    = aws_apigatewayv2_api.webhook.id
  route_key = "POST /webhook"
  target    = "integrations/${aws_apigatewayv2_integration.webhook.id}"
}

resource "aws_apigatewayv2_stage" "webhook" {
  api_id      = aws_apigatewayv2_api.webhook.id
  name        = "$default"
  auto_deploy = true
  tags        = local.tags

  # Who doesn't know the secret is refused by the function, but still costs an invocation.
  default_route_settings {
    throttling_burst_limit = var.api.burst
    throttling_rate_limit  = var.api.rate
  }

  dynamic "access_log_settings" {
    for_each = aws_cloudwatch_log_group.api[*].arn
    content {
      destination_arn = access_log_settings.value
      # No header and no body: neither has anything to look for in a log, and the signature is among the first.
      format = jsonencode({
        at          = "$context.requestTimeEpoch"
        request     = "$context.requestId"
        address     = "$context.identity.sourceIp"
        route       = "$context.routeKey"
        status      = "$context.status"
        bytes       = "$context.responseLength"
        latency_ms  = "$context.responseLatency"
        function_ms = "$context.integrationLatency"
        error       = "$context.error.message"
        integration = "$context.integrationErrorMessage"
      })
    }
  }
}

# Below /aws/vendedlogs: API Gateway writes each other log group that it may write to into one policy of the account, and a
# stage can't be made once that is too long.
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/AWS-logs-and-resource-policy.html
resource "aws_cloudwatch_log_group" "api" {
  # checkov:skip=CKV_AWS_338: How long logs are kept is a variable, and a month is enough to look into a job.
  count             = var.api.access_log ? 1 : 0
  name              = "/aws/vendedlogs/${local.prefix}-webhook"
  retention_in_days = var.log_retention_days
  kms_key_id        = local.key_arn
  tags              = local.tags
}

resource "aws_lambda_permission" "webhook" {
  statement_id  = "webhook"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.control["webhook"].function_name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_apigatewayv2_api.webhook.execution_arn}/*/POST/webhook"
}
