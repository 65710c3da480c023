variable "kind" {
  description = "`baked`: the image has the agent, and needs its config alone. `stock`: the agent is installed at each boot, see agent_source."
  type        = string
  default     = "baked"
  nullable    = false

  validation {
    condition     = contains(["baked", "stock"], var.kind)
    error_message = "kind is \"baked\" or \"stock\"."
  }
}

variable "agent_config" {
  description = "The agent's config as JSON (docs/interface.md, \"Config, version 1\")."
  type        = string
  nullable    = false

  validation {
    condition     = try(jsondecode(var.agent_config).version, 0) == 1
    error_message = "agent_config is JSON with \"version\": 1."
  }
}

variable "agent_environment" {
  description = "The agent's environment, such as AWS_ENDPOINT_URL or HTTPS_PROXY. Of a baked image it has to be in the image: there the agent is sooner than cloud-init."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for name, value in var.agent_environment : can(regex("^[A-Za-z_][A-Za-z0-9_]*$", name)) && !can(regex("[\n\"\\\\]", value))])
    error_message = "agent_environment has names of letters, digits and _, and values without line breaks, quotes and backslashes."
  }
}

variable "agent_source" {
  description = "Of a stock image: where dayfly-agent-<arch>.tar.gz of a release is, and its SHA-256. The instance's role needs s3:GetObject on it."
  type = object({
    bucket = string
    key    = string
    sha256 = string
  })
  default = null

  validation {
    condition = var.agent_source == null ? true : (
      can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.agent_source.bucket))
      && can(regex("^[A-Za-z0-9_./-]+$", var.agent_source.key))
      && can(regex("^[0-9a-f]{64}$", var.agent_source.sha256))
    )
    error_message = "agent_source has a bucket's name, a key of letters, digits and _./-, and a sha256 of 64 small hexadecimal digits."
  }
}

variable "install_seconds" {
  description = "Of a stock image: how long the installation may take before the instance ends, 60 to 3600. The fleet's boot_seconds must be more than this."
  type        = number
  default     = 900
  nullable    = false

  validation {
    condition     = var.install_seconds >= 60 && var.install_seconds <= 3600 && floor(var.install_seconds) == var.install_seconds
    error_message = "install_seconds is a whole number from 60 to 3600."
  }
}

variable "pre_install" {
  description = "Of a stock image: a script that runs as root before anything is installed. Where it fails the instance ends."
  type        = string
  default     = null

  validation {
    condition     = var.pre_install == null ? true : startswith(var.pre_install, "#!")
    error_message = "pre_install begins with #! and an interpreter."
  }
}

variable "post_install" {
  description = "Of a stock image: a script that runs as root once all is installed, before the agent starts. Where it fails the instance ends."
  type        = string
  default     = null

  validation {
    condition     = var.post_install == null ? true : startswith(var.post_install, "#!")
    error_message = "post_install begins with #! and an interpreter."
  }
}

variable "template_file" {
  description = "A template of your own in place of ours (stock.yaml.tftpl, baked.yaml.tftpl), with the same variables. The agent reads its config from write_files of a #cloud-config alone."
  type        = string
  default     = null
}

variable "strict" {
  description = "Whether it is an error here where kind, agent_source and scripts do not fit together, or the user-data has more than EC2 takes. Who renders many looks at that by itself, and can say which of them it is (terraform/userdata.tf)."
  type        = bool
  default     = true
  nullable    = false
}
