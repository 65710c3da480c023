# What the next steps of docs/getting-started.md ask for.

output "github_setup" {
  description = "What to enter in the GitHub App's settings, field by field."
  value       = module.dayfly.github_setup
}

output "webhook_url" {
  description = "The App's Webhook URL."
  value       = module.dayfly.webhook_url
}

output "deployment" {
  description = "What the commands of dayfly take as --deployment."
  value       = module.dayfly.deployment
}

output "functions" {
  description = "Names of the Lambda functions, by handler."
  value       = module.dayfly.functions
}
