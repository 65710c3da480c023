# ---- Where and what

variable "deployment" {
  description = "Name of this installation; it becomes part of every resource's name."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,39}$", var.deployment))
    error_message = "deployment is 1 to 40 of a-z, 0-9 and -, starting with a letter."
  }
}

variable "vpc_id" {
  description = "VPC that the runners' security group is made in."
  type        = string
}

variable "subnets" {
  description = "Subnets that fleets launch into, unless a fleet names its own."
  type        = list(string)

  validation {
    condition     = length(var.subnets) > 0 && alltrue([for id in var.subnets : startswith(id, "subnet-")])
    error_message = "subnets is a list of at least one subnet id."
  }
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}

# ---- GitHub

variable "github" {
  description = <<-EOT
    The GitHub App: its id (or client id), its private key (PEM), the secret of its webhook, and the base of the REST
    API (`https://api.github.com`, `https://ghes.example/api/v3`, `https://api.name.ghe.com`).
  EOT
  type = object({
    app_id         = string
    app_key        = string
    webhook_secret = string
    api_url        = optional(string, "https://api.github.com")
  })
  sensitive = true

  validation {
    condition     = can(regex("^[A-Za-z0-9.]+$", var.github.app_id))
    error_message = "github.app_id is the App's id or client id."
  }
  validation {
    condition     = strcontains(var.github.app_key, "PRIVATE KEY-----")
    error_message = "github.app_key is the App's private key as a PEM text."
  }
  validation {
    condition     = length(var.github.webhook_secret) >= 16
    error_message = "github.webhook_secret has at least 16 characters."
  }
  validation {
    condition     = can(regex("^https?://[^/]", var.github.api_url))
    error_message = "github.api_url is a URL such as \"https://api.github.com\"."
  }
}

# ---- Fleets

variable "fleets" {
  description = <<-EOT
    The fleets, by name. A job goes to a fleet that has all of its labels; among several the highest `priority` wins,
    then the fewest labels. `repositories` are `owner/repo` or `owner/*`; empty means all. `github.owner` is the
    organization, `owner/repo` or enterprise; for the first two it may be left out and is taken from the job.
    Of `agent`, what is left out is as the agent on the image has it (`docs/interface.md`).
  EOT
  type = map(object({
    labels        = list(string)
    priority      = optional(number, 0)
    repositories  = optional(list(string), [])
    max           = number
    delay_seconds = optional(number, 0)
    boot_seconds  = optional(number, 300)
    github = object({
      level           = string
      owner           = optional(string)
      runner_group_id = optional(number, 1)
    })
    image_id       = string
    instance_types = list(string)
    market         = optional(string, "on-demand")
    subnets        = optional(list(string))
    agent = optional(object({
      claim_seconds              = optional(number, 120)
      stop_seconds               = optional(number, 30)
      idle_seconds               = optional(number)
      interruption_grace_seconds = optional(number)
      retire_seconds             = optional(number)
      heartbeat_seconds          = optional(number)
      disk_free_mib              = optional(number)
      metadata_access            = optional(string)
      runner_directory           = optional(string, "/opt/actions-runner")
      runner_user                = optional(string, "runner")
    }), {})
  }))

  validation {
    condition     = length(var.fleets) > 0
    error_message = "fleets has at least one fleet."
  }
  validation {
    condition     = alltrue([for name in keys(var.fleets) : can(regex("^[a-z][a-z0-9-]{0,39}$", name))])
    error_message = "A fleet's name is 1 to 40 of a-z, 0-9 and -, starting with a letter."
  }
  validation {
    # A job without labels would match a fleet without labels.
    condition = alltrue([for fleet in values(var.fleets) :
      length(fleet.labels) > 0 && alltrue([for label in fleet.labels : can(regex("^[^,]*[^,\\s][^,]*$", label)) && length(label) <= 256])
    ])
    error_message = "fleets[*].labels is a list of at least one label, without commas."
  }
  validation {
    condition     = alltrue([for fleet in values(var.fleets) : floor(fleet.priority) == fleet.priority && fleet.priority >= 0 && fleet.priority <= 1000])
    error_message = "fleets[*].priority is a whole number from 0 to 1000."
  }
  validation {
    condition     = alltrue(flatten([for fleet in values(var.fleets) : [for pattern in fleet.repositories : can(regex("^[A-Za-z0-9_-]+/([A-Za-z0-9._-]+|\\*)$", pattern))]]))
    error_message = "fleets[*].repositories is a list of \"owner/repo\" or \"owner/*\"."
  }
  validation {
    condition     = alltrue([for fleet in values(var.fleets) : floor(fleet.max) == fleet.max && fleet.max >= 1 && fleet.max <= 10000])
    error_message = "fleets[*].max is a whole number from 1 to 10000."
  }
  validation {
    condition     = alltrue([for fleet in values(var.fleets) : fleet.delay_seconds >= 0 && fleet.delay_seconds <= 900])
    error_message = "fleets[*].delay_seconds is a number from 0 to 900."
  }
  validation {
    condition     = alltrue([for fleet in values(var.fleets) : fleet.boot_seconds >= 30 && fleet.boot_seconds <= 3600])
    error_message = "fleets[*].boot_seconds is a number from 30 to 3600."
  }
  validation {
    condition     = alltrue([for fleet in values(var.fleets) : contains(["organization", "repository", "enterprise"], fleet.github.level)])
    error_message = "fleets[*].github.level is \"organization\", \"repository\" or \"enterprise\"."
  }
  validation {
    condition     = alltrue([for fleet in values(var.fleets) : fleet.github.level != "enterprise" || fleet.github.owner != null])
    error_message = "fleets[*].github.owner is the enterprise's slug where level is \"enterprise\": no job names it."
  }
  validation {
    condition = alltrue([for fleet in values(var.fleets) : fleet.github.owner == null ? true : can(regex(
      fleet.github.level == "repository" ? "^[A-Za-z0-9_-]+/[A-Za-z0-9._-]+$" : "^[A-Za-z0-9_-]{1,100}$", fleet.github.owner
    ))])
    error_message = "fleets[*].github.owner is an organization's login, \"owner/repo\" or an enterprise's slug, as level says."
  }
  validation {
    condition     = alltrue([for fleet in values(var.fleets) : startswith(fleet.image_id, "ami-")])
    error_message = "fleets[*].image_id is an image id such as \"ami-0123456789abcdef0\"."
  }
  validation {
    condition     = alltrue([for fleet in values(var.fleets) : length(fleet.instance_types) > 0 && alltrue([for type in fleet.instance_types : strcontains(type, ".")])])
    error_message = "fleets[*].instance_types is a list of at least one instance type such as \"c7i.large\"."
  }
  validation {
    # CreateFleet takes 300 overrides.
    condition     = alltrue([for fleet in values(var.fleets) : length(fleet.instance_types) * length(coalesce(fleet.subnets, var.subnets)) <= 300])
    error_message = "fleets[*] has at most 300 pairs of subnet and instance type."
  }
  validation {
    condition     = alltrue([for fleet in values(var.fleets) : contains(["on-demand", "spot"], fleet.market)])
    error_message = "fleets[*].market is \"on-demand\" or \"spot\"."
  }
  validation {
    condition     = alltrue([for fleet in values(var.fleets) : fleet.subnets == null ? true : length(fleet.subnets) > 0 && alltrue([for id in fleet.subnets : startswith(id, "subnet-")])])
    error_message = "fleets[*].subnets is a list of at least one subnet id, or left out."
  }
  validation {
    condition     = alltrue([for fleet in values(var.fleets) : fleet.agent.claim_seconds >= 1 && fleet.agent.claim_seconds <= 3600 && fleet.agent.stop_seconds >= 1 && fleet.agent.stop_seconds <= 600])
    error_message = "fleets[*].agent.claim_seconds is a number from 1 to 3600, stop_seconds from 1 to 600."
  }
  validation {
    condition = alltrue(flatten([for fleet in values(var.fleets) : [
      for number in [
        { value = fleet.agent.idle_seconds, from = 1, to = 604800 },
        { value = fleet.agent.interruption_grace_seconds, from = 1, to = 110 },
        { value = fleet.agent.retire_seconds, from = 1, to = 3600 },
        { value = fleet.agent.heartbeat_seconds, from = 1, to = 3600 },
        { value = fleet.agent.disk_free_mib, from = 0, to = 1099511627776 },
      ] : number.value == null ? true : floor(number.value) == number.value && number.value >= number.from && number.value <= number.to
    ]]))
    error_message = "fleets[*].agent: whole numbers: idle_seconds from 1 to 604800, interruption_grace_seconds from 1 to 110, retire_seconds and heartbeat_seconds from 1 to 3600, disk_free_mib from 0."
  }
  validation {
    condition     = alltrue([for fleet in values(var.fleets) : fleet.agent.metadata_access == null ? true : contains(["agent", "all"], fleet.agent.metadata_access)])
    error_message = "fleets[*].agent.metadata_access is \"agent\" or \"all\"."
  }
  validation {
    condition     = alltrue([for fleet in values(var.fleets) : startswith(fleet.agent.runner_directory, "/") && !contains(["", "root"], fleet.agent.runner_user)])
    error_message = "fleets[*].agent.runner_directory is an absolute path, and runner_user is not root."
  }
}

variable "agent_endpoint_url" {
  description = "AWS endpoint for the agents, where it is not AWS's own; written to /etc/dayfly/agent.env by cloud-init."
  type        = string
  default     = null
}

# ---- The control plane

variable "control_zip" {
  description = "Path of dayfly-control-<arch>.zip."
  type        = string
}

variable "architecture" {
  description = "What control_zip was built for."
  type        = string
  default     = "x86_64"

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
  default = {}

  validation {
    # The webhook's answer is waited for by GitHub for 10 s.
    condition     = var.function_timeouts.webhook >= 1 && var.function_timeouts.webhook <= 10
    error_message = "function_timeouts.webhook is a number from 1 to 10."
  }
  validation {
    condition     = alltrue([for seconds in [var.function_timeouts.scale_up, var.function_timeouts.lifecycle] : seconds >= 1 && seconds <= 900])
    error_message = "function_timeouts.scale_up and .lifecycle are numbers from 1 to 900."
  }
}

variable "log_level" {
  description = "Log filter of functions and agents, in the syntax of the Rust crate tracing: `info`, `dayfly_control=debug`."
  type        = string
  default     = "info"

  validation {
    condition     = length(var.log_level) > 0
    error_message = "log_level is a log filter such as \"info\"."
  }
}

variable "log_retention_days" {
  description = "How long the functions' logs are kept."
  type        = number
  default     = 30
}
