# The twin of ../ubuntu-24.04.pkr.hcl for Packer 1.6, without what that does not know. Checked by scripts/lint-packer; the
# tests build with it.
source "amazon-ebs" "ubuntu-2404" {
  region        = var.region
  ami_regions   = var.copy_to_regions
  ami_users     = var.share_with_accounts
  instance_type = local.instance_type
  subnet_id     = var.subnet_id

  custom_endpoint_ec2 = var.endpoint

  ami_name        = "dayfly-ubuntu-2404-${var.arch}-${local.build}"
  ami_description = "GitHub Actions runner: runner ${local.runner.version}, Dayfly agent"
  tags            = merge(local.tags, { "dayfly:os" = "ubuntu-2404", Name = "dayfly-ubuntu-2404-${var.arch}" })
  snapshot_tags   = merge(local.tags, { "dayfly:os" = "ubuntu-2404", Name = "dayfly-ubuntu-2404-${var.arch}" })
  run_tags        = { Name = "packer-dayfly-ubuntu-2404-${var.arch}" }
  run_volume_tags = { Name = "packer-dayfly-ubuntu-2404-${var.arch}" }

  # Canonical's own, by its account.
  source_ami_filter {
    owners      = ["099720109477"]
    most_recent = true
    filters = {
      name                = "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-${var.arch == "arm64" ? "arm64" : "amd64"}-server-*"
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
  }

  launch_block_device_mappings {
    device_name           = "/dev/sda1"
    volume_type           = "gp3"
    volume_size           = var.volume_gib
    iops                  = 3000
    throughput            = 250
    delete_on_termination = true
    encrypted             = true
    kms_key_id            = var.kms_key_id
  }

  ssh_username              = "ubuntu"
  ssh_clear_authorized_keys = true
}
