# Alarms and a dashboard, from the metrics of docs/interface.md.

variable "alarms" {
  description = <<-EOT
    CloudWatch alarms, and what they tell: `actions` are ARNs, such as of an SNS topic. `{}` makes alarms that tell nobody; without
    it there are none. They are about messages in dead-letter queues, messages that wait for `queue_age_seconds`, functions that
    fail `errors` times in five minutes, a job that has been queued for `no_runner_seconds`, fewer than `github_remaining` requests
    left at GitHub, and `capacity_errors` in fifteen minutes, each an offer (instance type and zone) that EC2 had none of.
  EOT
  type = object({
    actions           = optional(list(string), [])
    queue_age_seconds = optional(number, 300)
    errors            = optional(number, 3)
    no_runner_seconds = optional(number, 900)
    github_remaining  = optional(number, 500)
    capacity_errors   = optional(number, 30)
  })
  default = null

  validation {
    condition     = var.alarms == null ? true : alltrue([for arn in var.alarms.actions : startswith(arn, "arn:")])
    error_message = "alarms.actions are ARNs."
  }
  validation {
    condition = var.alarms == null ? true : alltrue([for number in [
      var.alarms.queue_age_seconds, var.alarms.errors, var.alarms.no_runner_seconds, var.alarms.github_remaining, var.alarms.capacity_errors,
    ] : floor(number) == number && number >= 1 && number <= 1000000])
    error_message = "alarms: whole numbers from 1 to 1000000."
  }
}

variable "dashboard" {
  description = <<-EOT
    A CloudWatch dashboard with queue times, runners by state, instance hours, interruptions and what fails; without it there is none.
    `prices` are US dollars for an hour of a fleet's instance, by fleet: with one, its costs are drawn. They are a guess, as good as the
    price; `dayfly report` goes by instance.
  EOT
  type        = object({ prices = optional(map(number), {}) })
  default     = null

  validation {
    condition     = var.dashboard == null ? true : alltrue([for price in values(var.dashboard.prices) : price > 0 && price < 1000])
    error_message = "dashboard.prices are US dollars an hour, above 0 and below 1000."
  }
}
