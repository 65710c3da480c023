# Instances that have booted and wait, ten by day and two by night: a job has its runner in seconds.

module "dayfly" {
  source      = "../../terraform"
  environment = "standby-pool"
  vpc_id      = var.vpc_id
  subnet_ids  = var.subnet_ids
  control_zip = var.control_zip

  github = {
    app_id         = nonsensitive(var.github_app.id)
    app_key        = var.github_app.key
    webhook_secret = var.github_app.webhook_secret
  }

  fleets = {
    linux-x64 = {
      labels         = ["self-hosted", "linux", "x64"]
      max            = 50
      image_id       = "ami-0123456789abcdef0"
      instance_types = ["c7i.large"]
      github         = { owner = "octo-org" }
      pool = {
        kind = "standby"
        schedules = [
          { cron = "0 7 * * mon-fri", timezone = "Europe/Berlin", size = 10 },
          { cron = "0 19 * * *", timezone = "Europe/Berlin", size = 2 },
        ]
      }
    }
  }
}
