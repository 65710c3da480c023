# What the cases render to, beside which the golden files stand. `scripts/userdata-golden` compares, and with BLESS=1
# writes them anew: read what has changed.

locals {
  config = jsonencode({
    version             = 1
    deployment          = "main"
    fleet               = "linux-x64"
    registration_prefix = "/dayfly/main/registrations"
    lifecycle_queue_url = "https://sqs.eu-west-1.amazonaws.com/123456789012/dayfly-main-lifecycle"
    runner              = { source = { bucket = "dayfly-main-v-123456789012", prefix = "runners/linux-x64" } }
  })
  source = {
    bucket = "dayfly-main-v-123456789012"
    key    = "agent/dayfly-agent-x86_64.tar.gz"
    sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  }
}

module "baked" {
  source       = "../"
  agent_config = local.config
}

module "stock" {
  source       = "../"
  kind         = "stock"
  agent_config = local.config
  agent_source = local.source
}

module "stock_scripts" {
  source            = "../"
  kind              = "stock"
  agent_config      = local.config
  agent_source      = local.source
  agent_environment = { HTTPS_PROXY = "http://proxy.example:3128", NO_PROXY = "169.254.169.254,.example" }
  install_seconds   = 600
  pre_install       = "#!/bin/bash\n  # \"Quoted\" <text> & a tab:\tand ünïcode.\ndnf --assumeyes install docker git\n"
  post_install      = "#!/bin/sh\nprintf 'runner ALL=(ALL) NOPASSWD:ALL\\n' > /etc/sudoers.d/runner"
}

module "own" {
  source        = "../"
  agent_config  = local.config
  template_file = "${path.module}/own.yaml.tftpl"
}

output "rendered" {
  value = {
    baked         = module.baked.user_data
    stock         = module.stock.user_data
    stock-scripts = module.stock_scripts.user_data
    own           = module.own.user_data
  }
}
