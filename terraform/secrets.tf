resource "aws_ssm_parameter" "webhook_secret" {
  name        = "/dayfly/${var.deployment}/github/webhook-secret"
  description = "Secret that GitHub signs its webhooks with"
  type        = "SecureString"
  value       = var.github.webhook_secret
  tags        = local.tags
}

resource "aws_ssm_parameter" "app_key" {
  name        = "/dayfly/${var.deployment}/github/app-key"
  description = "Private key of the GitHub App (PEM)"
  type        = "SecureString"
  value       = var.github.app_key
  tags        = local.tags
}
