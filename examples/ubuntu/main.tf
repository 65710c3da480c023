# Ubuntu's own newest image at each launch, as Canonical publishes it. It has neither agent nor runner: both are installed at each boot,
# from the deployment's buckets, by their SHA-256. That costs some seconds with each job (docs/images.md); an image of your own does not.

module "dayfly" {
  source      = "../../terraform"
  environment = "ubuntu"
  vpc_id      = var.vpc_id
  subnet_ids  = var.subnet_ids
  control_zip = var.control_zip

  github = {
    app_id         = nonsensitive(var.github_app.id)
    app_key        = var.github_app.key
    webhook_secret = var.github_app.webhook_secret
  }

  agent_archives  = { x86_64 = { path = var.agent_archive } }
  runner_versions = { platforms = ["linux-x64"] }

  fleets = {
    ubuntu = {
      labels         = ["self-hosted", "ubuntu-24.04"]
      max            = 10
      image          = { parameter = "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id" }
      instance_types = ["c7i.large", "c7a.large"]
      # The root, which Ubuntu's images call /dev/sda1; of an `image_id` say root_device_name = "/dev/sda1".
      volumes = [{ size_gib = 40 }]
      agent   = { runner_source = { platform = "linux-x64" } }

      user_data = {
        kind         = "stock"
        pre_install  = "#!/bin/bash\nset -eu\napt-get -q -y update\nDEBIAN_FRONTEND=noninteractive apt-get -q -y install docker.io git\n"
        post_install = "#!/bin/bash\nset -eu\nuseradd --create-home --user-group --shell /bin/bash --groups docker runner\n"
      }
    }
  }
}

variable "agent_archive" {
  description = "The agent with its units, of `make dist`."
  type        = string
  default     = "../../dist/dayfly-agent-x86_64.tar.gz"
}
