variable "github_hooks" {
  description = <<-EOT
    Webhooks of organizations or repositories that send jobs here: `orgs/<login>/hooks/<id>` or `repos/<owner>/<repo>/hooks/<id>`.
    What failed of them is sent again, as it is of the Apps' own webhooks without being named. The App needs the permission
    to write webhooks there.
  EOT
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for hook in var.github_hooks : can(regex("^(orgs/[A-Za-z0-9_.-]+|repos/[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+)/hooks/[0-9]+$", hook))])
    error_message = "github_hooks[*] is orgs/<login>/hooks/<id> or repos/<owner>/<repo>/hooks/<id>."
  }
}
