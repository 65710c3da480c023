# The twin of ../amazon-linux-2023.pkr.hcl for Packer 1.6, without what that does not know. Checked by scripts/lint-packer; the
# tests build with it.
source "amazon-ebs" "al2023" {
  region        = var.region
  ami_regions   = var.copy_to_regions
  ami_users     = var.share_with_accounts
  instance_type = local.instance_type
  subnet_id     = var.subnet_id

  custom_endpoint_ec2 = var.endpoint

  ami_name        = "dayfly-al2023-${var.arch}-${local.build}"
  ami_description = "GitHub Actions runner: runner ${local.runner.version}, Dayfly agent"
  tags            = merge(local.tags, { "dayfly:os" = "al2023", Name = "dayfly-al2023-${var.arch}" })
  snapshot_tags   = merge(local.tags, { "dayfly:os" = "al2023", Name = "dayfly-al2023-${var.arch}" })
  run_tags        = { Name = "packer-dayfly-al2023-${var.arch}" }
  run_volume_tags = { Name = "packer-dayfly-al2023-${var.arch}" }

  # Amazon's own. Its name has the architecture as we have it.
  source_ami_filter {
    owners      = ["amazon"]
    most_recent = true
    filters = {
      name                = "al2023-ami-2023.*-kernel-6.1-${var.arch}"
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
  }

  launch_block_device_mappings {
    device_name           = "/dev/xvda"
    volume_type           = "gp3"
    volume_size           = var.volume_gib
    iops                  = 3000
    throughput            = 250
    delete_on_termination = true
    encrypted             = true
    kms_key_id            = var.kms_key_id
  }

  ssh_username              = "ec2-user"
  ssh_clear_authorized_keys = true
}
