# Alone in this file: Packer before 1.7 knows no such block, and is what scripts/lint-packer may find.
packer {
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = ">= 1.3.0, < 2.0.0"
    }
  }
}
