# How the control plane is run, and what of yours takes the place of what the module would make.

# ---- Functions

variable "function_memory" {
  description = "MiB of memory of each function; its share of a CPU goes by it. Released runners are unpacked and packed by `sync_runner`."
  type = object({
    webhook     = optional(number, 256)
    scale_up    = optional(number, 512)
    lifecycle   = optional(number, 256)
    reconcile   = optional(number, 256)
    sync_runner = optional(number, 512)
    housekeep   = optional(number, 256)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for mib in values(var.function_memory) : floor(mib) == mib && mib >= 128 && mib <= 10240])
    error_message = "function_memory: whole numbers from 128 to 10240."
  }
}

variable "function_concurrency" {
  description = <<-EOT
    How many executions of a function are kept free for it in the account, which are the most that it may have: its reserved
    concurrency. Without a number a function takes from what the account has left. `scale_up` and `lifecycle` are called for
    their queues by at most 20 and 5, or as many as are reserved.
  EOT
  type = object({
    webhook     = optional(number)
    scale_up    = optional(number)
    lifecycle   = optional(number)
    reconcile   = optional(number)
    sync_runner = optional(number)
    housekeep   = optional(number)
  })
  default  = {}
  nullable = false

  validation {
    condition = alltrue([for name, number in var.function_concurrency : number == null ? true :
      floor(number) == number && number <= 10000 && number >= (contains(["scale_up", "lifecycle"], name) ? 2 : 1)
    ])
    error_message = "function_concurrency: whole numbers up to 10000, from 1; scale_up and lifecycle from 2, the least that SQS calls a function with."
  }
}

variable "function_network" {
  description = <<-EOT
    Subnets and security groups that the functions run in, for a GitHub Enterprise Server that only the VPC reaches. They need a
    way to GitHub and to AWS from there: a NAT gateway, or endpoints for DynamoDB, S3, SQS, SSM, EC2, KMS and Logs (and
    EventBridge with an `event_bus`).
  EOT
  type = object({
    subnet_ids      = list(string)
    security_groups = list(string)
  })
  default = null

  validation {
    condition     = var.function_network == null ? true : length(var.function_network.subnet_ids) > 0 && alltrue([for id in var.function_network.subnet_ids : startswith(id, "subnet-")]) && length(var.function_network.security_groups) > 0 && alltrue([for id in var.function_network.security_groups : startswith(id, "sg-")])
    error_message = "function_network has at least one subnet id and one security group id."
  }
}

variable "api" {
  description = <<-EOT
    The HTTP API of the webhook. `rate` and `burst` are requests a second and at once; what is above is answered 429, and counts as
    a delivery that failed. `access_log` keeps a line for each request, without headers or bodies.
  EOT
  type = object({
    rate       = optional(number, 200)
    burst      = optional(number, 500)
    access_log = optional(bool, true)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for number in [var.api.rate, var.api.burst] : floor(number) == number && number >= 1 && number <= 10000])
    error_message = "api.rate and api.burst are whole numbers from 1 to 10000."
  }
}

# ---- Keys and data

variable "kms_key" {
  description = <<-EOT
    A KMS key for the ledger, queues, buckets, parameters, logs and functions' environments, in place of AWS's own: `arn` is one of
    yours, `create` makes one. The policy of yours lets IAM of this account decide, and CloudWatch Logs
    (`logs.<region>.amazonaws.com`) use it.

    A deployment that works may be given a key, but not another one, nor none again: what is there stays encrypted by the key that it was
    written with, which the functions may use no more, and a key that `create` has made is on its way to be deleted then
    (docs/guides/upkeep.md). Volumes have keys of their own: `volumes` of a fleet.
  EOT
  type = object({
    arn    = optional(string)
    create = optional(bool, false)
  })
  default = null

  validation {
    condition     = var.kms_key == null ? true : (var.kms_key.arn == null) == var.kms_key.create
    error_message = "kms_key has either arn or create = true."
  }
  validation {
    condition     = try(var.kms_key.arn, null) == null ? true : can(regex("^arn:[^:]+:kms:[^:]+:[0-9]+:key/.+$", var.kms_key.arn))
    error_message = "kms_key.arn is the ARN of a KMS key, not of an alias."
  }
}

variable "ledger" {
  description = "The ledger's table: whether it can't be deleted before `deletion_protection` is off again, and whether its last 35 days can be restored. What it holds comes again by itself within a day or two."
  type = object({
    deletion_protection    = optional(bool, false)
    point_in_time_recovery = optional(bool, true)
  })
  default  = {}
  nullable = false
}

variable "existing_bucket" {
  description = "A bucket of yours in place of an own one for the fleets document, the functions' zip and reports, all below `dayfly-<environment>/`. It is in this region, and versioned; who may read and write it is for you to say."
  type        = object({ name = string })
  default     = null

  validation {
    condition     = var.existing_bucket == null ? true : can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.existing_bucket.name))
    error_message = "existing_bucket.name is a bucket's name: 3 to 63 of a-z, 0-9, . and -."
  }
}

variable "old_versions_days" {
  description = "For so many days earlier versions are kept in the bucket: fleets documents, functions and reports."
  type        = number
  default     = 90
  nullable    = false

  validation {
    condition     = floor(var.old_versions_days) == var.old_versions_days && var.old_versions_days >= 1 && var.old_versions_days <= 3650
    error_message = "old_versions_days is a whole number from 1 to 3650."
  }
}

# ---- Roles

variable "roles" {
  description = <<-EOT
    How roles are made, and those of yours that are taken in place of own ones. `path` and `permissions_boundary` (a policy's ARN)
    are of every role that is made. `runner` is the instances' role, with its `name`, `arn`, `id` (such as AROA…) and
    `instance_profile`; `functions` has the ARN of a role by handler (`webhook`, `scale-up`, …). What they must be allowed to do is in
    the outputs `runner_policy` and `function_policies`: attach those.
  EOT
  type = object({
    path                 = optional(string, "/")
    permissions_boundary = optional(string)
    runner               = optional(object({ name = string, arn = string, id = string, instance_profile = string }))
    functions            = optional(map(string), {})
  })
  default  = {}
  nullable = false

  validation {
    condition     = can(regex("^/([!-~]{1,510}/)?$", var.roles.path)) && !strcontains(var.roles.path, "*")
    error_message = "roles.path begins and ends with /, such as \"/dayfly/\"."
  }
  validation {
    condition     = var.roles.permissions_boundary == null ? true : can(regex("^arn:[^:]+:iam::([0-9]{12}|aws):policy/.+$", var.roles.permissions_boundary))
    error_message = "roles.permissions_boundary is the ARN of a policy."
  }
  validation {
    condition     = alltrue([for arn in concat(values(var.roles.functions), var.roles.runner == null ? [] : [var.roles.runner.arn]) : can(regex("^arn:[^:]+:iam::[0-9]{12}:role/.+$", arn))])
    error_message = "roles.runner.arn and roles.functions are ARNs of roles."
  }
  validation {
    condition     = alltrue([for handler in keys(var.roles.functions) : contains(["webhook", "scale-up", "lifecycle", "reconcile", "sync-runner", "housekeep"], handler)])
    error_message = "roles.functions is by handler: webhook, scale-up, lifecycle, reconcile, sync-runner and housekeep."
  }
}

variable "create_spot_role" {
  description = "Whether the account's role `AWSServiceRoleForEC2Spot` is made here. EC2 makes it with the first spot request; here it is for accounts where nobody may have it do so. There is one in an account."
  type        = bool
  default     = false
  nullable    = false
}

variable "spot_volume_keys" {
  description = <<-EOT
    ARNs of the KMS keys that spot instances' volumes are encrypted by: what `volumes` of fleets that buy spot name as their `kms_key`, and
    those of images' snapshots. Each is granted to the account's role for spot, `AWSServiceRoleForEC2Spot`, which has to be there
    (`create_spot_role`, or any spot request before): without a grant EC2 launches instances that end at once.
  EOT
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.spot_volume_keys : can(regex("^arn:[^:]+:kms:[^:]+:[0-9]+:key/.+$", arn))])
    error_message = "spot_volume_keys is a list of ARNs of KMS keys, not of aliases."
  }
}

# ---- Runners

variable "runner_security_groups" {
  description = "Security groups that instances have beside their own, which lets nothing in and everything out."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = length(var.runner_security_groups) <= 15 && alltrue([for id in var.runner_security_groups : startswith(id, "sg-")])
    error_message = "runner_security_groups is a list of at most 15 security group ids."
  }
}

# ---- Events

variable "event_bus" {
  description = <<-EOT
    An EventBridge bus that state changes (docs/events.v1.schema.json) and GitHub's events about jobs are put on, for rules of your own:
    `name` or `arn` is one of yours, `create` makes one, `dayfly-<environment>`. Without it there are no such events.
  EOT
  type = object({
    name   = optional(string)
    arn    = optional(string)
    create = optional(bool, false)
  })
  default = null

  validation {
    condition     = var.event_bus == null ? true : length([for way in [var.event_bus.name != null, var.event_bus.arn != null, var.event_bus.create] : way if way]) == 1
    error_message = "event_bus has either name, arn or create = true."
  }
  validation {
    condition     = try(var.event_bus.name, null) == null ? true : can(regex("^[A-Za-z0-9._/-]{1,256}$", var.event_bus.name))
    error_message = "event_bus.name is the name of an EventBridge bus: 1 to 256 of letters, digits and . _ / -."
  }
  validation {
    condition     = try(var.event_bus.arn, null) == null ? true : can(regex("^arn:[a-z-]+:events:[a-z0-9-]+:[0-9]{12}:event-bus/[A-Za-z0-9._/-]{1,256}$", var.event_bus.arn))
    error_message = "event_bus.arn is the ARN of an EventBridge bus such as \"arn:aws:events:eu-west-1:123456789012:event-bus/mine\"."
  }
}
