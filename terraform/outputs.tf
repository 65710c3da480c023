locals {
  api_url = nonsensitive(var.github.api_url)
  # The REST API's address tells where people sign in.
  github_url = local.api_url == "https://api.github.com" ? "https://github.com" : (
    endswith(trimsuffix(local.api_url, "/"), "/api/v3") ? trimsuffix(trimsuffix(local.api_url, "/"), "/api/v3") : replace(local.api_url, "//api.", "//")
  )
  github_levels = distinct([for fleet in values(var.fleets) : fleet.github.level])
  reruns        = anytrue([for fleet in values(var.fleets) : try(fleet.interrupted.rerun, 1) > 0])
}

# A list, since Terraform shows the keys of a map by the alphabet. The labels, and their order, are those of GitHub's forms:
# https://docs.github.com/en/apps/creating-github-apps/registering-a-github-app/registering-a-github-app
# https://docs.github.com/en/webhooks/using-webhooks/creating-webhooks
output "github_setup" {
  description = "What is to be entered in the GitHub App's settings, field by field, by GitHub's names and in GitHub's order; with a token in place of an App, in a webhook's."
  value       = local.github_forms[local.app_id == null ? "webhook" : "app"]
}

locals {
  webhook_address = "${aws_apigatewayv2_api.webhook.api_endpoint}/webhook"

  # By an index: of ? and : both sides would have to have the same fields.
  github_forms = { app = local.app_form, webhook = local.webhook_form }
  app_form = [
    { "Page" = "${local.github_url}/organizations/<organization>/settings/apps, or ${local.github_url}/settings/apps for a person's" },
    { "Active" = "yes" },
    { "Webhook URL" = local.webhook_address },
    { "Webhook secret" = "the text of github.webhook_secret" },
    { "Repository permissions" = merge(
      { Actions = local.reruns ? "Read and write" : "Read-only", Metadata = "Read-only" },
      contains(local.github_levels, "repository") ? { Administration = "Read and write" } : {},
    ) },
    { "Organization permissions" = contains(local.github_levels, "organization") ? { "Self-hosted runners" = "Read and write" } : {} },
    { "Subscribe to events" = ["Workflow job"] },
    { "Install App" = "each organization, or its repositories, whose jobs fleets take" },
  ]

  # GitHub's Apps can't manage runners of an enterprise. A token has no webhook of its own.
  webhook_form = [
    { "Page" = "Settings, Webhooks, Add webhook, of each enterprise, organization or repository whose jobs fleets take" },
    { "Payload URL" = local.webhook_address },
    { "Content type" = "application/json" },
    { "Secret" = "the text of github.webhook_secret" },
    { "Which events would you like to trigger this webhook?" = ["Workflow jobs"] },
    { "Active" = "yes" },
    { "Scopes of the token (classic)" = concat(
      contains(local.github_levels, "enterprise") ? ["manage_runners:enterprise"] : [],
      contains(local.github_levels, "organization") ? ["admin:org"] : [],
      ["repo"],
    ) },
  ]
}

output "deployment" {
  description = "What the commands of `dayfly` take as --deployment: the environment's name."
  value       = var.environment
}

output "webhook_url" {
  description = "Where the GitHub App sends its webhooks."
  value       = local.webhook_address
}

output "log_groups" {
  description = "Names of the log groups: the functions' by handler, and the API's access log as `api`."
  value = merge(
    { for handler, group in aws_cloudwatch_log_group.control : handler => group.name },
    { for group in aws_cloudwatch_log_group.api : "api" => group.name },
  )
}

output "kms_key" {
  description = "ARN of the key by which everything is encrypted; none where these are AWS's own."
  value       = local.key_arn
}

output "event_bus" {
  description = "Name or ARN of the bus that state changes are put on; none without one."
  value       = local.event_bus
}

output "security_group" {
  description = "Id of the instances' own security group."
  value       = aws_security_group.runner.id
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
  value       = local.bucket
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
  value       = local.runner_role.name
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

output "runner_policy" {
  description = "What the instances' role must be allowed to do; to be attached to one of yours (`roles.runner`)."
  value       = local.runner_policy
}

output "runner_source_policy" {
  description = "The same for fleets that install agent or runner from S3; none where no fleet does."
  value       = local.installs_runners ? local.runner_source_policy : null
}

output "function_policies" {
  description = "What the functions' roles must be allowed to do, by handler; to be attached to those of yours (`roles.functions`)."
  value       = local.function_policies
}
