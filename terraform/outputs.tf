output "webhook_url" {
  description = "Where the GitHub App sends its webhooks."
  value       = "${aws_apigatewayv2_api.webhook.api_endpoint}/webhook"
}

output "api_id" {
  description = "Id of the HTTP API."
  value       = aws_apigatewayv2_api.webhook.id
}

output "functions" {
  description = "Names of the Lambda functions, by handler."
  value       = { for handler, function in aws_lambda_function.control : handler => function.function_name }
}

output "queue_urls" {
  description = "URLs of the queues: wake, lifecycle, and their dead-letter queues."
  value = merge(
    { for name, queue in aws_sqs_queue.queue : name => queue.url },
    { for name, queue in aws_sqs_queue.dead : "${name}-dlq" => queue.url },
  )
}

output "table" {
  description = "Name of the ledger's table."
  value       = aws_dynamodb_table.ledger.name
}

output "bucket" {
  description = "Name of the bucket that holds fleets.json."
  value       = aws_s3_bucket.dayfly.id
}

output "runners_bucket" {
  description = "Name of the bucket that holds releases of the runner; none without runner_versions."
  value       = one(aws_s3_bucket.runners[*].bucket)
}

output "launch_templates" {
  description = "Launch template and version, by fleet."
  value       = { for name, template in aws_launch_template.runner : name => { id = template.id, version = tostring(template.latest_version) } }
}

output "runner_role" {
  description = "Name of the instances' role, to which jobs' permissions can be added."
  value       = aws_iam_role.runner.name
}

output "registration_prefix" {
  description = "SSM path under which registrations are handed over."
  value       = local.registration_prefix
}

output "registration_bucket" {
  description = "Name of the bucket by which registrations are handed over; none where no fleet's `handover` is `s3`."
  value       = one(aws_s3_bucket.registrations[*].bucket)
}

output "registration_bucket_prefix" {
  description = "What the keys in that bucket begin with, before the instance's id."
  value       = local.registration_bucket_prefix
}
