locals {
  # Of var.github, the keys, the secrets and the token are secret; ids and names are not.
  app_id      = nonsensitive(var.github.app_id)
  app_key_put = nonsensitive(var.github.app_key != null)
  token_put   = nonsensitive(var.github.token != null)
  # By id; without a value where the key itself is given.
  more_apps = nonsensitive({ for app in var.github.more_apps : app.app_id => app.app_key_parameter })
  more_keys = { for app in var.github.more_apps : app.app_id => app.app_key }

  # Where the key of each App is, and the token.
  first_app = local.app_id == null ? [] : [{
    id        = local.app_id
    parameter = local.app_key_put ? one(aws_ssm_parameter.app_key[*].name) : nonsensitive(var.github.app_key_parameter)
  }]
  apps = concat(local.first_app, [for id, parameter in local.more_apps : {
    id        = id
    parameter = parameter != null ? parameter : aws_ssm_parameter.more_app_keys[id].name
  }])
  token_parameter = local.token_put ? one(aws_ssm_parameter.github_token[*].name) : nonsensitive(var.github.token_parameter)

  github_parameters = compact(concat(local.apps[*].parameter, [local.token_parameter]))
  # SSM reads these from Secrets Manager, with the reader's own permissions.
  secret_prefix = "/aws/reference/secretsmanager/"
  github_secrets = [
    for name in local.github_parameters : trimprefix(name, local.secret_prefix) if startswith(name, local.secret_prefix)
  ]
}

resource "aws_ssm_parameter" "webhook_secret" {
  name        = "/dayfly/${var.environment}/github/webhook-secret"
  description = "Secrets that GitHub signs its webhooks with, one to a line"
  type        = "SecureString"
  key_id      = local.key_arn
  value       = join("\n", compact([var.github.webhook_secret, var.github.old_webhook_secret]))
  tags        = local.tags
}

resource "aws_ssm_parameter" "app_key" {
  count       = local.app_key_put ? 1 : 0
  name        = "/dayfly/${var.environment}/github/app-key"
  description = "Private key of the GitHub App (PEM)"
  type        = "SecureString"
  key_id      = local.key_arn
  value       = var.github.app_key
  tags        = local.tags
}

resource "aws_ssm_parameter" "more_app_keys" {
  for_each    = toset([for id, parameter in local.more_apps : id if parameter == null])
  name        = "/dayfly/${var.environment}/github/app-key-${each.key}"
  description = "Private key of the GitHub App ${each.key} (PEM)"
  type        = "SecureString"
  key_id      = local.key_arn
  value       = local.more_keys[each.key]
  tags        = local.tags
}

resource "aws_ssm_parameter" "github_token" {
  count       = local.token_put ? 1 : 0
  name        = "/dayfly/${var.environment}/github/token"
  description = "Token that is used at GitHub in place of an App"
  type        = "SecureString"
  key_id      = local.key_arn
  value       = var.github.token
  tags        = local.tags
}
