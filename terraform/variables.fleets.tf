# The fleets: what becomes the fleets document (fleets.tf), launch templates and the agents' config (runners.tf), and user-data (userdata.tf).

variable "fleets" {
  description = <<-EOT
    The fleets, by name: the fleets document (`dayfly fleets schema` describes each field), with `agent` for what its
    agents are told (`docs/interface.md`; what is left out is as the agent on the image has it).

    A job goes to a fleet whose `labels` agree with its own as `matching` says (`exact`, `all` of the job's, `any`). The
    most specific wins, then the highest `priority`. `repositories` are `owner/repo` or `owner/*`; empty means all.
    `github.level` is `organization` unless it says `repository` or `enterprise`; `github.owner` is the organization, `owner/repo` or enterprise; for the first two it may be left out and is taken
    from the job. Instances are of `instance_types`, or of any type that meets `requirements`. The image is `image_id`,
    part of the launch template, or `image`, which is looked up at each launch. `interrupted` is how often a job is run again
    whose instance EC2 took away, and whether on-demand then; the App needs *Actions* (write) for it. `steering` is what a job's labels of the
    form `dayfly-<what>=<value>` may ask for.

    `volumes` are in place of the image's own of the same `device_name`, and beside its others: encrypted gp3, of the image's size
    where `size_gib` is left out. One without a `device_name` is the root volume, `root_device_name`: `/dev/sda1` where `image` speaks of
    Ubuntu (its `name` or `parameter`, or Canonical among its `owners`), else `/dev/xvda`, as in images of Amazon Linux and Debian. A
    name that the image does not have is one more volume, which EC2 refuses without a size. With `[]` all is as the image has it.

    `user_data` is for images without the agent (docs/images.md): with `kind` "stock" it is installed at each boot, from `agent_archives`
    for the `architecture`, within `install_seconds` (a minute less than `boot_seconds` without a word), between the scripts `pre_install`
    and `post_install`; `environment` is the agent's. `template_file` takes the place of our template, of baked images too.

    `pool` is what is kept ready before a job comes (docs/pools.md): booted instances without a registration (`standby`), the
    same stopped until a job comes (`stopped`, always on-demand), or listening reusable runners (`idle`), as many as `size` says,
    or those of the `schedules` whose time came last. `pool.lifetime_seconds` is how long a standby instance (4 hours), or a
    stopped one (a day), waits before another takes its place.

    `agent.runner_source` is where the runner is installed from, and gives instances the permission to read there: a
    `platform` of `runner_versions`, or a `bucket` and a `prefix` of your own. What `agent.cloudwatch_agent` needs is to be
    added to the role (output `runner_role`).
  EOT
  type = map(object({
    labels              = list(string)
    matching            = optional(string, "all")
    priority            = optional(number, 0)
    repositories        = optional(list(string), [])
    repositories_denied = optional(list(string), [])
    public_forks        = optional(bool, false)
    steering = optional(object({
      instance_types = optional(list(string), [])
      max_vcpus      = optional(number, 0)
      max_memory_gib = optional(number, 0)
      max_disk_gib   = optional(number, 0)
      markets        = optional(list(string), [])
      images         = optional(list(string), [])
      pin            = optional(bool, false)
    }))
    ephemeral        = optional(bool, true)
    max              = number
    delay_seconds    = optional(number, 0)
    boot_seconds     = optional(number, 300)
    cooldown_seconds = optional(number, 0)
    interrupted = optional(object({
      rerun     = optional(number, 1)
      on_demand = optional(bool, true)
    }))
    pool = optional(object({
      kind             = string
      size             = optional(number)
      schedules        = optional(list(object({ cron = string, timezone = optional(string), size = number })))
      eviction         = optional(string)
      repository       = optional(string)
      lifetime_seconds = optional(number)
    }))
    github = optional(object({
      level           = optional(string, "organization")
      owner           = optional(string)
      runner_group    = optional(string)
      runner_group_id = optional(number)
    }), {})
    handover   = optional(string, "ssm")
    subnet_ids = optional(list(string))
    image_id   = optional(string)
    image = optional(object({
      id        = optional(string)
      parameter = optional(string)
      name      = optional(string)
      owners    = optional(list(string))
    }))
    instance_types = optional(list(string))
    requirements = optional(object({
      vcpus          = object({ min = number, max = optional(number) })
      memory_mib     = object({ min = number, max = optional(number) })
      allowed_types  = optional(list(string))
      excluded_types = optional(list(string))
    }))
    market             = optional(string, "on-demand")
    on_demand_base     = optional(number)
    on_demand_fallback = optional(bool)
    spot_allocation    = optional(string)
    max_price          = optional(string)
    tags               = optional(map(string), {})
    root_device_name   = optional(string)
    volumes = optional(list(object({
      device_name = optional(string)
      size_gib    = optional(number)
      type        = optional(string, "gp3")
      iops        = optional(number)
      throughput  = optional(number)
      encrypted   = optional(bool, true)
      kms_key     = optional(string)
    })), [{}])
    user_data = optional(object({
      kind            = optional(string, "baked")
      architecture    = optional(string, "x86_64")
      install_seconds = optional(number)
      pre_install     = optional(string)
      post_install    = optional(string)
      environment     = optional(map(string), {})
      template_file   = optional(string)
    }), {})
    agent = optional(object({
      claim_seconds              = optional(number, 120)
      stop_seconds               = optional(number, 30)
      idle_seconds               = optional(number)
      minimum_running_seconds    = optional(number)
      max_lifetime_seconds       = optional(number)
      job_seconds                = optional(number)
      interruption_grace_seconds = optional(number)
      retire_seconds             = optional(number)
      heartbeat_seconds          = optional(number)
      disk_free_mib              = optional(number)
      metadata_access            = optional(string)
      before_end                 = optional(object({ script = string, seconds = optional(number, 30) }))
      cloudwatch_agent           = optional(string)
      runner_directory           = optional(string, "/opt/actions-runner")
      runner_user                = optional(string, "runner")
      runner_source = optional(object({
        platform = optional(string)
        bucket   = optional(string)
        prefix   = optional(string)
        version  = optional(string, "latest")
      }))
      runner_minimum_version = optional(string)
      runner_disable_update  = optional(bool)
      runner_work_folder     = optional(string)
      runner_environment     = optional(map(string))
      runner_hook_started    = optional(string)
      runner_hook_completed  = optional(string)
    }), {})
  }))

  # Each of these is what the reader of the fleets document, or the agent, refuses.
  nullable = false
  validation {
    condition     = length(var.fleets) > 0
    error_message = "fleets has at least one fleet."
  }
  validation {
    condition     = alltrue([for name in keys(var.fleets) : can(regex("^[a-z][a-z0-9-]{0,39}$", name))])
    error_message = "A fleet's name is 1 to 40 of a-z, 0-9 and -, starting with a letter."
  }
  validation {
    condition     = alltrue([for fleet in values(var.fleets) : fleet.max != null])
    error_message = "fleets[*].max is null, and has to be said: how many instances the fleet has at most."
  }
  validation {
    # A job without labels would match a fleet without labels. By dayfly-<what>=<value> a job asks for something.
    condition = alltrue([for fleet in values(var.fleets) :
      try(length(fleet.labels) > 0, false) && alltrue([for label in coalesce(fleet.labels, []) :
        try(can(regex("^[^,]*[^,\\s][^,]*$", label)) && length(label) <= 256 && !can(regex("(?i)^dayfly-[^=]*=.", label)), false)
      ])
    ])
    error_message = "fleets[*].labels is a list of at least one label, without commas and not of the form dayfly-<what>=<value>."
  }
  validation {
    condition = alltrue(flatten([for fleet in values(var.fleets) : [
      contains(["exact", "all", "any"], fleet.matching), contains(["ssm", "s3"], fleet.handover), contains(["on-demand", "spot"], fleet.market),
    ]]))
    error_message = "fleets[*].matching is \"exact\", \"all\" or \"any\"; handover is \"ssm\" or \"s3\"; market is \"on-demand\" or \"spot\"."
  }
  validation {
    condition = alltrue(flatten([for fleet in values(var.fleets) : [
      for pattern in concat(fleet.repositories, fleet.repositories_denied) : can(regex("^[A-Za-z0-9_*?-]{1,100}/[A-Za-z0-9._*?-]+$", pattern))
    ]]))
    error_message = "fleets[*].repositories and repositories_denied are lists of \"owner/repo\" with * for any characters, such as \"owner/*\"."
  }
  validation {
    condition = alltrue(flatten([for fleet in values(var.fleets) : [
      for number in [
        { value = fleet.priority, from = 0, to = 1000 },
        { value = fleet.max, from = 1, to = 10000 },
        { value = fleet.delay_seconds, from = 0, to = 900 },
        { value = fleet.boot_seconds, from = 30, to = 3600 },
        { value = fleet.cooldown_seconds, from = 0, to = 900 },
        { value = fleet.on_demand_base, from = 0, to = 10000 },
      ] : number.value == null ? true : floor(number.value) == number.value && number.value >= number.from && number.value <= number.to
    ]]))
    error_message = "fleets[*]: whole numbers: priority from 0 to 1000, max from 1 to 10000, delay_seconds and cooldown_seconds from 0 to 900, boot_seconds from 30 to 3600, on_demand_base from 0 to 10000."
  }
  validation {
    condition = alltrue([for interrupted in [for fleet in values(var.fleets) : fleet.interrupted if fleet.interrupted != null] :
      floor(interrupted.rerun) == interrupted.rerun && interrupted.rerun >= 0 && interrupted.rerun <= 10
    ])
    error_message = "fleets[*].interrupted.rerun is a whole number from 0, for not at all, to 10."
  }
  validation {
    condition = alltrue(flatten([for steering in [for fleet in values(var.fleets) : fleet.steering if fleet.steering != null] : concat(
      [for number in [[steering.max_vcpus, 1024], [steering.max_memory_gib, 65536], [steering.max_disk_gib, 65536]] :
      floor(number[0]) == number[0] && number[0] >= 0 && number[0] <= number[1]],
      [for market in steering.markets : contains(["on-demand", "spot"], market)],
      [for pattern in concat(steering.instance_types, steering.images) : pattern != ""],
    )]))
    error_message = "fleets[*].steering: whole numbers: max_vcpus from 0 to 1024, max_memory_gib and max_disk_gib from 0 to 65536; markets are of \"on-demand\" and \"spot\"; instance_types and images are not empty."
  }
  validation {
    condition = alltrue(flatten([for pool in [for fleet in values(var.fleets) : fleet.pool if fleet.pool != null] : [
      contains(["standby", "stopped", "idle"], pool.kind), pool.eviction == null ? true : contains(["oldest", "newest"], pool.eviction),
      pool.repository == null ? true : can(regex("^[A-Za-z0-9_-]{1,100}/[A-Za-z0-9._-]+$", pool.repository)),
    ]]))
    error_message = "fleets[*].pool.kind is \"standby\", \"stopped\" or \"idle\"; eviction is \"oldest\" or \"newest\"; repository is \"owner/repo\"."
  }
  validation {
    condition = alltrue([for fleet in [for fleet in values(var.fleets) : fleet if fleet.pool != null] :
      (fleet.pool.size == null) != (fleet.pool.schedules == null) && (fleet.pool.schedules == null ? true : length(fleet.pool.schedules) > 0)
      && alltrue([for size in concat(fleet.pool.size == null ? [] : [fleet.pool.size], fleet.pool.schedules == null ? [] : [for schedule in fleet.pool.schedules : schedule.size]) :
      floor(size) == size && size >= 0 && (fleet.max == null ? true : size <= fleet.max)])
    ])
    error_message = "fleets[*].pool has either size or at least one of schedules; each size is a whole number from 0 to max."
  }
  validation {
    condition = alltrue(flatten([for pool in [for fleet in values(var.fleets) : fleet.pool if fleet.pool != null] : [
      for schedule in(pool.schedules == null ? [] : pool.schedules) : can(regex("^\\s*\\S+(\\s+\\S+){4}\\s*$", schedule.cron)) && (schedule.timezone == null ? true : schedule.timezone != "")
    ]]))
    error_message = "fleets[*].pool.schedules[*].cron has five fields, such as \"0 8 * * mon-fri\", and timezone is a name of the IANA database, such as \"Europe/Berlin\"."
  }
  validation {
    condition = alltrue([for fleet in [for fleet in values(var.fleets) : fleet if fleet.pool != null] :
      (fleet.pool.kind != "idle" || (!fleet.ephemeral && coalesce(fleet.agent.max_lifetime_seconds, 0) > 0))
      && (fleet.github.owner != null || fleet.pool.repository != null) && coalesce(fleet.agent.heartbeat_seconds, 60) <= 120
      && (fleet.pool.lifetime_seconds == null ? true : floor(fleet.pool.lifetime_seconds) == fleet.pool.lifetime_seconds && fleet.pool.lifetime_seconds >= 60 && fleet.pool.lifetime_seconds <= 604800)
    ])
    error_message = "fleets[*].pool: \"idle\" needs ephemeral = false and an agent.max_lifetime_seconds, by which each ends for good; without a github.owner there is a repository; agent.heartbeat_seconds is at most 120, since what is silent for longer is not counted; lifetime_seconds is a whole number from 60 to 604800."
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
      fleet.github.level == "repository" ? "^[A-Za-z0-9_-]{1,100}/[A-Za-z0-9._-]+$" : "^[A-Za-z0-9_-]{1,100}$", fleet.github.owner
    ))])
    error_message = "fleets[*].github.owner is an organization's login, \"owner/repo\" or an enterprise's slug, as level says."
  }
  validation {
    # config.sh takes a name.
    condition     = alltrue([for fleet in values(var.fleets) : fleet.ephemeral || coalesce(fleet.github.runner_group_id, 1) == 1])
    error_message = "fleets[*].github has the group's name (runner_group) where ephemeral is false."
  }
  validation {
    condition = alltrue([for github in [for fleet in values(var.fleets) : fleet.github] :
      (github.runner_group == null ? true : can(regex("\\S", github.runner_group)) && github.runner_group_id == null && github.level != "repository")
      && (github.runner_group_id == null ? true : floor(github.runner_group_id) == github.runner_group_id && github.runner_group_id >= 1
      && github.runner_group_id <= (github.level == "repository" ? 1 : 4294967295))
    ])
    error_message = "fleets[*].github has the group's name (runner_group) or id (runner_group_id, from 1), not both; a repository has no group but 1."
  }
  validation {
    condition     = alltrue([for fleet in values(var.fleets) : (fleet.image_id == null) != (fleet.image == null)])
    error_message = "fleets[*] has either image_id or image."
  }
  validation {
    condition     = alltrue([for fleet in values(var.fleets) : fleet.image_id == null ? true : startswith(fleet.image_id, "ami-")])
    error_message = "fleets[*].image_id is an image id such as \"ami-0123456789abcdef0\"."
  }
  validation {
    condition = alltrue([for image in [for fleet in values(var.fleets) : fleet.image if fleet.image != null] :
      length([for way in [image.id, image.parameter, image.name] : way if way != null]) == 1
      && (image.id == null ? true : startswith(image.id, "ami-"))
      && (image.parameter == null ? true : can(regex("^[A-Za-z0-9_.:/-]+$", image.parameter)) && length(image.parameter) <= 2048 && !startswith(image.parameter, "resolve:"))
      && image.name != "" && (image.name == null) == (image.owners == null)
      && (image.owners == null ? true : length(image.owners) > 0 && alltrue([for owner in image.owners : can(regex("^(self|amazon|[0-9]{12})$", owner))]))
    ])
    error_message = "fleets[*].image is one of id (\"ami-…\"), parameter (an SSM parameter's name or ARN), and name with owners (account ids, \"self\" or \"amazon\")."
  }
  validation {
    condition     = alltrue([for fleet in values(var.fleets) : (fleet.instance_types == null) != (fleet.requirements == null)])
    error_message = "fleets[*] has either instance_types or requirements."
  }
  validation {
    condition = alltrue([for fleet in values(var.fleets) : fleet.instance_types == null ? true :
    length(fleet.instance_types) > 0 && alltrue([for type in fleet.instance_types : strcontains(type, ".")])])
    error_message = "fleets[*].instance_types is a list of at least one instance type such as \"c7i.large\"."
  }
  validation {
    condition = alltrue(flatten([for requirements in [for fleet in values(var.fleets) : fleet.requirements if fleet.requirements != null] : [
      for range in [{ it = requirements.vcpus, most = 1024 }, { it = requirements.memory_mib, most = 67108864 }] :
      floor(range.it.min) == range.it.min && range.it.min >= 0 && range.it.min <= range.most
      && (range.it.max == null ? true : floor(range.it.max) == range.it.max && range.it.max >= max(range.it.min, 1) && range.it.max <= range.most)
    ]]))
    error_message = "fleets[*].requirements: whole numbers: vcpus from 0 to 1024, memory_mib from 0 to 67108864, each max at least 1 and not below min."
  }
  validation {
    condition = alltrue(flatten([for requirements in [for fleet in values(var.fleets) : fleet.requirements if fleet.requirements != null] : [
      length(coalesce(requirements.allowed_types, [])) == 0 || length(coalesce(requirements.excluded_types, [])) == 0,
      [for types in [coalesce(requirements.allowed_types, []), coalesce(requirements.excluded_types, [])] :
      length(types) <= 400 && alltrue([for type in types : can(regex("^[A-Za-z0-9.*-]{1,30}$", type))])],
    ]]))
    error_message = "fleets[*].requirements has allowed_types or excluded_types, not both: at most 400 types or families such as \"m5.8xlarge\" or \"c5*\"."
  }
  validation {
    condition = alltrue([for fleet in values(var.fleets) : fleet.market == "spot" || alltrue([
      fleet.on_demand_base == null, fleet.on_demand_fallback == null, fleet.spot_allocation == null, fleet.max_price == null
    ])])
    error_message = "fleets[*]: on_demand_base, on_demand_fallback, spot_allocation and max_price are for market \"spot\" alone."
  }
  validation {
    condition = alltrue([for fleet in values(var.fleets) : fleet.spot_allocation == null ? true : contains(
      ["price-capacity-optimized", "capacity-optimized", "capacity-optimized-prioritized", "lowest-price", "diversified"], fleet.spot_allocation
    )])
    error_message = "fleets[*].spot_allocation is \"price-capacity-optimized\", \"capacity-optimized\", \"capacity-optimized-prioritized\", \"lowest-price\" or \"diversified\"."
  }
  validation {
    condition = alltrue([for fleet in values(var.fleets) : fleet.max_price == null ? true :
    length(fleet.max_price) <= 20 && can(regex("^[0-9]+(\\.[0-9]+)?$", fleet.max_price)) && can(regex("[1-9]", fleet.max_price))])
    error_message = "fleets[*].max_price is US dollars an hour such as \"0.12\"."
  }
  validation {
    condition = alltrue([for fleet in values(var.fleets) : length(fleet.tags) <= 40 && alltrue([for name, value in fleet.tags :
      length(name) >= 1 && length(name) <= 128 && length(value) <= 256 && !can(regex("^([aA][wW][sS]|dayfly):", name))
    ])])
    error_message = "fleets[*].tags has at most 40 tags; names do not begin with \"aws:\" or \"dayfly:\"."
  }
  validation {
    condition = alltrue(flatten([for fleet in values(var.fleets) : [for volume in concat(fleet.volumes, [{ device_name = fleet.root_device_name, type = "gp3", encrypted = true, kms_key = null }]) :
      (volume.device_name == null ? true : can(regex("^(/dev/)?[a-z][a-z0-9]*$", volume.device_name))) && contains(["gp2", "gp3", "io1", "io2", "st1", "sc1", "standard"], volume.type)
      && (volume.kms_key == null ? true : volume.encrypted && can(regex("^arn:[^:]+:kms:[^:]+:[0-9]+:key/.+$", volume.kms_key)))
    ]]))
    error_message = "fleets[*].volumes[*].device_name and root_device_name are such as \"/dev/xvda\"; type is gp2, gp3, io1, io2, st1, sc1 or standard; kms_key is a key's ARN, where it is encrypted."
  }
  validation {
    condition = alltrue(flatten([for fleet in values(var.fleets) : [for volume in fleet.volumes : [for number in [
      { value = volume.size_gib, from = 1, to = 65536 },
      { value = volume.iops, from = 100, to = 256000 },
      { value = volume.throughput, from = 125, to = 2000 },
    ] : number.value == null ? true : floor(number.value) == number.value && number.value >= number.from && number.value <= number.to]]]))
    error_message = "fleets[*].volumes: whole numbers: size_gib from 1 to 65536, iops from 100 to 256000, throughput (MiB/s) from 125 to 2000."
  }
  validation {
    condition     = alltrue([for fleet in values(var.fleets) : fleet.subnet_ids == null ? true : length(fleet.subnet_ids) > 0 && alltrue([for id in fleet.subnet_ids : startswith(id, "subnet-")])])
    error_message = "fleets[*].subnet_ids is a list of at least one subnet id, or left out."
  }
  validation {
    condition = alltrue(flatten([for agent in [for fleet in values(var.fleets) : fleet.agent] : [
      for number in [
        { value = agent.claim_seconds, from = 1, to = 3600 },
        { value = agent.stop_seconds, from = 1, to = 600 },
        { value = agent.idle_seconds, from = 1, to = 604800 },
        { value = agent.minimum_running_seconds, from = 0, to = 604800 },
        { value = agent.max_lifetime_seconds, from = 0, to = 2592000 },
        { value = agent.job_seconds, from = 1, to = 604800 },
        { value = agent.interruption_grace_seconds, from = 1, to = 110 },
        { value = agent.retire_seconds, from = 1, to = 3600 },
        { value = agent.heartbeat_seconds, from = 1, to = 3600 },
        { value = agent.disk_free_mib, from = 0, to = 1099511627776 },
        { value = try(agent.before_end.seconds, null), from = 1, to = 3600 },
      ] : number.value == null ? true : floor(number.value) == number.value && number.value >= number.from && number.value <= number.to
    ]]))
    error_message = "fleets[*].agent: whole numbers: claim_seconds, retire_seconds, heartbeat_seconds and before_end.seconds from 1 to 3600, stop_seconds from 1 to 600, idle_seconds and job_seconds from 1 to 604800, minimum_running_seconds from 0 to 604800, max_lifetime_seconds from 0 to 2592000, interruption_grace_seconds from 1 to 110, disk_free_mib from 0."
  }
  validation {
    condition     = alltrue([for fleet in values(var.fleets) : fleet.agent.metadata_access == null ? true : contains(["agent", "all"], fleet.agent.metadata_access)])
    error_message = "fleets[*].agent.metadata_access is \"agent\" or \"all\"."
  }
  validation {
    condition     = alltrue([for fleet in values(var.fleets) : startswith(fleet.agent.runner_directory, "/") && !contains(["", "root"], fleet.agent.runner_user)])
    error_message = "fleets[*].agent.runner_directory is an absolute path, and runner_user is not root."
  }
  validation {
    condition = alltrue(flatten([for agent in [for fleet in values(var.fleets) : fleet.agent] : [
      agent.before_end == null ? true : startswith(agent.before_end.script, "/"),
      agent.cloudwatch_agent == null ? true : can(regex("^(ssm|file):.", agent.cloudwatch_agent)),
      [for hook in [agent.runner_hook_started, agent.runner_hook_completed] : hook == null ? true : can(regex("^/[^'\\n]*[^/'\\n]\\.sh$", hook))],
    ]]))
    error_message = "fleets[*].agent: before_end.script is an absolute path; cloudwatch_agent is \"ssm:<parameter>\" or \"file:<path>\"; runner_hook_started and runner_hook_completed are absolute paths that end in .sh."
  }
  validation {
    condition = alltrue([for agent in [for fleet in values(var.fleets) : fleet.agent] :
      (agent.runner_minimum_version == null ? true : can(regex("^[0-9]+\\.[0-9]+\\.[0-9]+$", agent.runner_minimum_version)))
      && (agent.runner_source == null ? true : (agent.runner_source.platform == null
        ? can(regex("^[a-z0-9.-]{3,63}$", agent.runner_source.bucket)) && can(regex("^[^/]([^\\n]*[^/])?$", agent.runner_source.prefix))
        : agent.runner_source.bucket == null && agent.runner_source.prefix == null)
      && can(regex("^(latest|[0-9]+\\.[0-9]+\\.[0-9]+)$", agent.runner_source.version)))
    ])
    error_message = "fleets[*].agent: runner_source has a platform, or a bucket and a prefix without / at its ends, and a version (\"latest\" or one such as \"2.336.0\"); runner_minimum_version is such a version too."
  }
  validation {
    condition     = alltrue(flatten([for fleet in values(var.fleets) : [for name in keys(coalesce(fleet.agent.runner_environment, {})) : can(regex("^[A-Za-z_][A-Za-z0-9_]*$", name))]]))
    error_message = "fleets[*].agent.runner_environment has names of letters, digits and _."
  }
  validation {
    # The registration of an ephemeral runner brings the folder, and control asks GitHub for _work.
    condition = alltrue([for fleet in values(var.fleets) : fleet.agent.runner_work_folder == null ? true :
    fleet.agent.runner_work_folder == "_work" || (fleet.agent.runner_work_folder != "" && !fleet.ephemeral)])
    error_message = "fleets[*].agent.runner_work_folder is a path, and \"_work\" where the fleet is ephemeral."
  }
  validation {
    condition = alltrue([for it in [for fleet in values(var.fleets) : fleet.user_data] :
      contains(["baked", "stock"], it.kind) && contains(["x86_64", "arm64"], it.architecture)
      && alltrue([for script in [it.pre_install, it.post_install] : script == null ? true : startswith(script, "#!")])
      && alltrue([for name, value in it.environment : can(regex("^[A-Za-z_][A-Za-z0-9_]*$", name)) && !can(regex("[\n\"\\\\]", value))])
    ])
    error_message = "fleets[*].user_data.kind is \"baked\" or \"stock\"; architecture is \"x86_64\" or \"arm64\"; pre_install and post_install begin with #! and an interpreter; environment has names of letters, digits and _, and values without line breaks, quotes and backslashes."
  }
  validation {
    # Ours of baked images has no place for them: the agent is sooner than cloud-init there.
    condition = alltrue([for it in [for fleet in values(var.fleets) : fleet.user_data] :
      it.kind == "stock" || it.template_file != null || (it.pre_install == null && it.post_install == null && it.install_seconds == null && length(it.environment) == 0)
    ])
    error_message = "fleets[*].user_data: pre_install, post_install, install_seconds and environment are for kind \"stock\": on a baked image the agent starts before cloud-init. Put them into the image."
  }
  validation {
    condition = alltrue([for fleet in [for fleet in values(var.fleets) : fleet if fleet.user_data.kind == "stock"] : fleet.user_data.install_seconds == null
      ? fleet.boot_seconds > 60
      : floor(fleet.user_data.install_seconds) == fleet.user_data.install_seconds && fleet.user_data.install_seconds >= 60 && fleet.user_data.install_seconds < fleet.boot_seconds
    ])
    error_message = "fleets[*].user_data.install_seconds is a whole number from 60, and less than the fleet's boot_seconds (300 without a word): what is still installing then would be taken for lost. Without it boot_seconds is more than 60."
  }
  validation {
    condition = alltrue([for fleet in values(var.fleets) : fleet.user_data.kind == "baked" || fleet.agent.runner_source != null || anytrue([
      for own in [fleet.user_data.pre_install, fleet.user_data.post_install, fleet.user_data.template_file] : own != null
    ])])
    error_message = "fleets[*].agent.runner_source says where the runner comes from, as a stock image has none; or pre_install, post_install or a template of yours installs it."
  }
  validation {
    condition     = alltrue([for fleet in values(var.fleets) : fleet.user_data.template_file == null ? true : fileexists(fleet.user_data.template_file)])
    error_message = "fleets[*].user_data.template_file is a file that is there, such as \"$${path.module}/runner.yaml.tftpl\"."
  }
}
