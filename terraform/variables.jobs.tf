# Whose jobs are taken at all, and by which of several fleets: the fleets document around the fleets.

variable "repositories" {
  description = "Whose jobs any fleet takes: `owner/repo`, where * stands for any characters and ? for any one. Empty means everybody's."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for pattern in var.repositories : can(regex("^[A-Za-z0-9_*?-]{1,100}/[A-Za-z0-9._*?-]+$", pattern))])
    error_message = "repositories is a list of \"owner/repo\" with * for any characters, such as \"owner/*\"."
  }
}

variable "repositories_denied" {
  description = "Whose jobs no fleet takes, though they are among `repositories`."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for pattern in var.repositories_denied : can(regex("^[A-Za-z0-9_*?-]{1,100}/[A-Za-z0-9._*?-]+$", pattern))])
    error_message = "repositories_denied is a list of \"owner/repo\" with * for any characters, such as \"owner/*\"."
  }
}

variable "public_forks" {
  description = "Whether a fleet may say that it takes jobs of public repositories that run what a fork has: anybody can open a pull request."
  type        = bool
  default     = false
  nullable    = false
}

variable "ties" {
  description = "Which of several fleets takes a job that all fit as closely, with the same priority: the first by `name`, or one that the job's id picks (`spread`)."
  type        = string
  default     = "name"
  nullable    = false

  validation {
    condition     = contains(["name", "spread"], var.ties)
    error_message = "ties is \"name\" or \"spread\"."
  }
}
