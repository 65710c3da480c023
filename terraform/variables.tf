# ---- Where and what

variable "environment" {
  description = "Name of this installation, such as \"main\" or \"staging\"; it becomes part of every resource's name. The programs call it the deployment: DAYFLY_DEPLOYMENT, the tag `dayfly:deployment`, the metrics' dimension."
  type        = string
  nullable    = false

  validation {
    # dayfly-main-r-<account> and dayfly-main-v-<account> are buckets of main (registrations.tf, runner_versions.tf).
    condition     = can(regex("^[a-z][a-z0-9-]{0,39}$", var.environment)) && !can(regex("-[rv]$", var.environment))
    error_message = "environment is 1 to 40 of a-z, 0-9 and -, starting with a letter, and does not end in -r or -v."
  }
}

variable "vpc_id" {
  description = "VPC that the runners' security group is made in."
  type        = string
  nullable    = false
}

variable "subnet_ids" {
  description = "Subnets that fleets launch into, unless a fleet names its own."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.subnet_ids) > 0 && alltrue([for id in var.subnet_ids : startswith(id, "subnet-")])
    error_message = "subnet_ids is a list of at least one subnet id."
  }
}

variable "tags" {
  description = "Tags of every resource, beside `dayfly:deployment`."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for name in keys(var.tags) : !can(regex("^([aA][wW][sS]|dayfly):", name))])
    error_message = "tags are not called \"aws:...\" or \"dayfly:...\"."
  }
}

# ---- GitHub

variable "github" {
  description = <<-EOT
    How Dayfly is known at GitHub, and GitHub to Dayfly.

    `app_id` is the GitHub App's id or client id. Its private key is `app_key` (PEM, or base64 of it), or stands in the
    SSM parameter `app_key_parameter`; `/aws/reference/secretsmanager/<name>` is the secret of that name in Secrets
    Manager. `more_apps` are further Apps, on the same organizations: the work is spread by what each has left of its
    rate limit. In place of Apps, `token` or `token_parameter` is a person's or machine user's token.

    `webhook_secret` signs the webhook; `old_webhook_secret` is good too, while a secret is changed.

    `api_url` is the base of the REST API (`https://api.github.com`, `https://ghes.example/api/v3`,
    `https://api.name.ghe.com`). `ca_certificates` (PEM) are those of the CAs that its certificate may be of, in place
    of those that Lambda's own store knows.
  EOT
  type = object({
    app_id            = optional(string)
    app_key           = optional(string)
    app_key_parameter = optional(string)
    more_apps = optional(list(object({
      app_id            = string
      app_key           = optional(string)
      app_key_parameter = optional(string)
    })), [])
    token              = optional(string)
    token_parameter    = optional(string)
    webhook_secret     = string
    old_webhook_secret = optional(string)
    api_url            = optional(string, "https://api.github.com")
    ca_certificates    = optional(string)
  })
  sensitive = true
  nullable  = false

  # What is null here was left out, or came so: GitHub's answer to the App's manifest has a null in place of a webhook's secret at times.
  # Each of these says one thing, so what another looks after is passed over.
  validation {
    condition     = var.github.webhook_secret != null
    error_message = "github.webhook_secret is null, and has to be said: what `openssl rand -hex 32` prints, which is entered at GitHub as well (\"Webhook secret\")."
  }
  validation {
    condition     = (var.github.app_id == null) != (var.github.token == null && var.github.token_parameter == null) && !(var.github.token != null && var.github.token_parameter != null) && !(var.github.app_id == null && length(var.github.more_apps) > 0)
    error_message = "github has either app_id, and perhaps more_apps, or one of token and token_parameter."
  }
  validation {
    condition     = alltrue([for app in var.github.more_apps : app.app_id != null])
    error_message = "github.more_apps[*].app_id is null, and has to be said."
  }
  validation {
    condition = alltrue([for id in concat([var.github.app_id], var.github.more_apps[*].app_id) : id == null ? true : can(regex("^[A-Za-z0-9.]+$", id))]) && (
      length(distinct([for id in concat([var.github.app_id], var.github.more_apps[*].app_id) : id if id != null])) == length([for id in concat([var.github.app_id], var.github.more_apps[*].app_id) : id if id != null])
    )
    error_message = "github.app_id is the App's id or client id, and no two Apps have the same."
  }
  validation {
    condition     = var.github.app_id == null || (var.github.app_key == null) != (var.github.app_key_parameter == null)
    error_message = "github has either app_key or app_key_parameter beside app_id; both are said, or both are null."
  }
  validation {
    condition     = alltrue([for app in var.github.more_apps : (app.app_key == null) != (app.app_key_parameter == null)])
    error_message = "github.more_apps[*] has either app_key or app_key_parameter; both are said, or both are null."
  }
  validation {
    condition     = alltrue([for key in concat([var.github.app_key], var.github.more_apps[*].app_key) : key == null ? true : strcontains(key, "PRIVATE KEY-----") || try(strcontains(base64decode(key), "PRIVATE KEY-----"), false)])
    error_message = "github.app_key is the App's private key as a PEM text, or base64 of one."
  }
  validation {
    condition     = var.github.token != ""
    error_message = "github.token is a token's text."
  }
  validation {
    condition     = alltrue([for name in concat([var.github.app_key_parameter, var.github.token_parameter], var.github.more_apps[*].app_key_parameter) : name == null ? true : startswith(name, "/") && !endswith(name, "/") && !strcontains(name, ",")])
    error_message = "github.app_key_parameter and token_parameter are names of SSM parameters such as \"/dayfly/main/github/app-key\"."
  }
  validation {
    condition     = alltrue([for secret in [var.github.webhook_secret, var.github.old_webhook_secret] : secret == null ? true : length(secret) >= 16 && !strcontains(secret, "\n")])
    error_message = "github.webhook_secret and old_webhook_secret have at least 16 characters, in one line."
  }
  validation {
    condition     = can(regex("^https?://[^/]", var.github.api_url))
    error_message = "github.api_url is a URL such as \"https://api.github.com\"."
  }
  # Functions would not start by anything else. That it fits is looked after in functions.tf.
  validation {
    condition     = var.github.ca_certificates == null ? true : can(regex("^(\\s*-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\\s]+-----END CERTIFICATE-----)+\\s*$", var.github.ca_certificates))
    error_message = "github.ca_certificates is one or several certificates as PEM, and nothing beside them: -----BEGIN CERTIFICATE-----… They are not secret."
  }
}

# ---- Fleets: variables.fleets.tf, variables.jobs.tf, and

variable "agent_archives" {
  description = <<-EOT
    Where fleets of stock images have the agent from, by architecture (`x86_64`, `arm64`): `path` is dayfly-agent-<arch>.tar.gz of `make
    dist`, which is put into the bucket; or `bucket`, `key` and `sha256` (of SHA256SUMS) name one that is in S3. Instances may read
    this object, and know it by its SHA-256.
  EOT
  type = map(object({
    path   = optional(string)
    bucket = optional(string)
    key    = optional(string)
    sha256 = optional(string)
  }))
  default  = {}
  nullable = false

  validation {
    condition     = length(setsubtract(keys(var.agent_archives), ["x86_64", "arm64"])) == 0
    error_message = "agent_archives is by architecture: \"x86_64\" or \"arm64\"."
  }
  validation {
    condition = alltrue([for archive in values(var.agent_archives) : archive.path == null
      ? can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", archive.bucket)) && can(regex("^[A-Za-z0-9_./-]+$", archive.key)) && can(regex("^[0-9a-f]{64}$", archive.sha256))
      : archive.bucket == null && archive.key == null && archive.sha256 == null
    ])
    error_message = "agent_archives[*] has either a path; or a bucket's name, a key of letters, digits and _./-, and a sha256 of 64 small hexadecimal digits."
  }
  validation {
    condition     = alltrue([for archive in values(var.agent_archives) : archive.path == null ? true : fileexists(archive.path)])
    error_message = "agent_archives[*].path is a file that is there, such as \"dist/dayfly-agent-x86_64.tar.gz\"."
  }
}

variable "registration_kms_key" {
  description = "ARN of a KMS key by which registrations are encrypted, in place of AWS's own. Its policy lets IAM of this account decide."
  type        = string
  default     = null

  validation {
    condition     = var.registration_kms_key == null ? true : can(regex("^arn:[^:]+:kms:[^:]+:[0-9]+:key/.+$", var.registration_kms_key))
    error_message = "registration_kms_key is the ARN of a KMS key."
  }
}

variable "agent_endpoint_url" {
  description = "AWS endpoint for the agents, where it is not AWS's own; written to /etc/dayfly/agent.env by cloud-init."
  type        = string
  default     = null
}

# ---- The control plane

variable "control_zip" {
  description = "Path of dayfly-control-<arch>.zip, which `make dist` makes."
  type        = string
  nullable    = false

  validation {
    # Of a folder fileexists() is an error.
    condition     = try(fileexists(var.control_zip), false)
    error_message = "control_zip is \"${var.control_zip}\", and there is no such file: `make dist` makes dist/dayfly-control-x86_64.zip, or `make dist ARCH=aarch64` that of arm64."
  }
}

variable "architecture" {
  description = "What control_zip was built for."
  type        = string
  default     = "x86_64"
  nullable    = false

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "architecture is \"x86_64\" or \"arm64\"."
  }
}

variable "function_timeouts" {
  description = "Seconds after which a function is stopped. A message comes back to its queue after as long."
  type = object({
    webhook   = optional(number, 10)
    scale_up  = optional(number, 60)
    lifecycle = optional(number, 30)
  })
  default  = {}
  nullable = false

  validation {
    # The webhook's answer is waited for by GitHub for 10 s. Of less than 3 s nothing is left: it ends before it is killed.
    condition     = var.function_timeouts.webhook >= 3 && var.function_timeouts.webhook <= 10
    error_message = "function_timeouts.webhook is a number from 3 to 10."
  }
  validation {
    condition     = alltrue([for seconds in [var.function_timeouts.scale_up, var.function_timeouts.lifecycle] : seconds >= 5 && seconds <= 900])
    error_message = "function_timeouts.scale_up and .lifecycle are numbers from 5 to 900."
  }
}

variable "limits" {
  description = <<-EOT
    How fast all functions together call EC2 (`CreateFleet`), SSM (`PutParameter`; 10 with the account's higher throughput
    on) and GitHub (registrations); 0 for no limit.
  EOT
  type = object({
    ec2_per_second    = optional(number, 2)
    ssm_per_second    = optional(number, 3)
    github_per_minute = optional(number, 170)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for limit in values(var.limits) : limit >= 0 && limit <= 100000 && floor(limit) == limit])
    error_message = "limits are whole numbers from 0 to 100000."
  }
}

variable "log_level" {
  description = "Log filter of functions and agents, in the syntax of the Rust crate tracing: `info`, `dayfly_control=debug`."
  type        = string
  default     = "info"
  nullable    = false

  validation {
    condition     = length(var.log_level) > 0
    error_message = "log_level is a log filter such as \"info\"."
  }
}

variable "log_retention_days" {
  description = "How many days the logs of functions and API are kept; 0 for ever."
  type        = number
  default     = 30
  nullable    = false

  validation {
    # CloudWatch's list.
    condition     = contains([0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days is 0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653."
  }
}
