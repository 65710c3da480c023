# .terraform.lock.hcl is left out of git: a lock made from a local mirror holds only the hash of the unpacked folder
# (h1), and `terraform init` from the registry refuses a lock without the hash of its zip (zh). A module is not locked
# by its own repository anyway but by the root that uses it.
terraform {
  # 1.6 is the oldest that is looked after, so a validation looks at its own variable alone (later versions let it look at
  # others), and what concerns two variables is a precondition (fleets.tf).
  required_version = ">= 1.6"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.80, < 7.0"
    }
  }
}
