# What the keepers do: sync-runner, which keeps releases of the runner, and housekeep, which clears away what is old.

variable "runner_versions" {
  description = <<-EOT
    Keeps releases of the Actions runner in a bucket, for fleets whose `agent.runner_source` names a `platform`. Without
    it there is neither bucket nor function.

    `platforms` are those of the runner's releases. `version` is `latest`, GitHub's newest that was published
    `delay_hours` ago, or one such as "2.336.0". Versions that fleets name are kept besides, and the newest `keep`.
    `schedule` is how often GitHub is asked; run the function `sync-runner` by hand the first time. `token_parameter` is
    an SSM parameter with a token of github.com's that needs no permission: without it GitHub answers 60 requests an
    hour to the address that the function happens to have. `releases_url` is the REST API of github.com, or of a mirror.
  EOT
  type = object({
    platforms       = optional(list(string), ["linux-x64", "linux-arm64"])
    version         = optional(string, "latest")
    delay_hours     = optional(number, 0)
    keep            = optional(number, 3)
    schedule        = optional(string, "rate(1 hour)")
    token_parameter = optional(string)
    releases_url    = optional(string, "https://api.github.com")
  })
  default = null

  validation {
    condition     = var.runner_versions == null ? true : length(var.runner_versions.platforms) > 0 && alltrue([for platform in var.runner_versions.platforms : can(regex("^[a-z0-9-]+$", platform))])
    error_message = "runner_versions.platforms is a list of at least one platform such as \"linux-x64\"."
  }
  validation {
    condition     = var.runner_versions == null ? true : can(regex("^(latest|[0-9]+\\.[0-9]+\\.[0-9]+)$", var.runner_versions.version))
    error_message = "runner_versions.version is \"latest\" or a version such as \"2.336.0\"."
  }
  validation {
    condition = var.runner_versions == null ? true : alltrue([for number in [
      { value = var.runner_versions.delay_hours, from = 0, to = 2160 },
      { value = var.runner_versions.keep, from = 2, to = 50 },
    ] : floor(number.value) == number.value && number.value >= number.from && number.value <= number.to])
    error_message = "runner_versions: whole numbers: delay_hours from 0 to 2160, keep from 2 to 50."
  }
  validation {
    condition     = var.runner_versions == null ? true : can(regex("^(rate|cron)\\(.+\\)$", var.runner_versions.schedule))
    error_message = "runner_versions.schedule is an EventBridge schedule such as \"rate(1 hour)\"."
  }
  validation {
    condition     = try(var.runner_versions.token_parameter, null) == null ? true : startswith(var.runner_versions.token_parameter, "/") && !endswith(var.runner_versions.token_parameter, "/")
    error_message = "runner_versions.token_parameter is the name of an SSM parameter such as \"/mine/github-token\"."
  }
  validation {
    condition     = var.runner_versions == null ? true : can(regex("^https?://[^/]", var.runner_versions.releases_url))
    error_message = "runner_versions.releases_url is a URL such as \"https://api.github.com\"."
  }
}

variable "housekeeping" {
  description = <<-EOT
    Clears away old images and their snapshots, and what instances left behind: registrations that nobody will claim,
    volumes, spot requests. Without it there is no such function. It tells what it would do until `dry_run` is false, in
    its log and in the bucket's `housekeep/report.json`, whose versions are the reports before; it gets the permission to
    delete no sooner.

    Images are the account's own with all of `image_tags` (the values may have * and ?; your image builds tag images and
    their snapshots), that were neither made nor launched from for `image_days`. Of each kind (architecture and values of
    these tags) the newest `image_keep` stay, and so does each one that any version of any launch template, any instance
    that has not ended, a fleet, or a parameter names. Parameters are all of SSM that are no secrets, or those whose names
    begin as one of `parameters` says; the function may read these. `most` of each kind of thing go in a run. What is left
    behind goes after `leftover_hours`.
  EOT
  type = object({
    dry_run        = optional(bool, true)
    schedule       = optional(string, "rate(1 day)")
    image_tags     = optional(map(string), {})
    image_days     = optional(number, 30)
    image_keep     = optional(number, 3)
    parameters     = optional(list(string), [])
    leftover_hours = optional(number, 24)
    most           = optional(number, 20)
  })
  default = null

  validation {
    condition     = var.housekeeping == null ? true : can(regex("^(rate|cron)\\(.+\\)$", var.housekeeping.schedule))
    error_message = "housekeeping.schedule is an EventBridge schedule such as \"rate(1 day)\"."
  }
  validation {
    condition     = var.housekeeping == null ? true : alltrue([for name, value in var.housekeeping.image_tags : length(name) >= 1 && length(name) <= 128 && length(value) >= 1 && length(value) <= 256 && !startswith(name, "aws:") && !can(regex("[*?$]", name)) && !strcontains(value, "$")])
    error_message = "housekeeping.image_tags is tags and their values such as { \"dayfly:image\" = \"*\" }."
  }
  validation {
    condition = var.housekeeping == null ? true : alltrue([for number in [
      { value = var.housekeeping.image_days, from = 1, to = 3650 },
      { value = var.housekeeping.image_keep, from = 1, to = 3650 },
      { value = var.housekeeping.leftover_hours, from = 2, to = 2160 },
      { value = var.housekeeping.most, from = 1, to = 1000 },
    ] : floor(number.value) == number.value && number.value >= number.from && number.value <= number.to])
    error_message = "housekeeping: whole numbers: image_days and image_keep from 1 to 3650, leftover_hours from 2 to 2160, most from 1 to 1000."
  }
  validation {
    condition     = var.housekeeping == null ? true : alltrue([for beginning in var.housekeeping.parameters : can(regex("^[A-Za-z0-9/_.-]+$", beginning))])
    error_message = "housekeeping.parameters is what names of SSM parameters begin with, such as \"/images/\"."
  }
}
