# The module, deployed into the laptop cloud: the real AWS provider, with moto for every endpoint.

terraform {
  required_version = ">= 1.6"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.80, < 7.0"
    }
  }
}

variable "endpoint" {
  description = "moto's URL."
  type        = string
}

variable "environment" {
  type    = string
  default = "demo"
}

variable "control_zip" {
  type = string
}

variable "github" {
  type = object({
    app_id         = string
    app_key        = string
    webhook_secret = string
    api_url        = string
  })
  sensitive = true
}

variable "fleets" {
  description = "As the module's, without image and subnets, which are the laptop's own."
  type        = any
}

variable "function_timeouts" {
  type    = any
  default = {}
}

variable "function_concurrency" {
  type    = any
  default = {}
}

variable "runner_versions" {
  description = "As the module's."
  type        = any
  default     = null
}

variable "housekeeping" {
  description = "As the module's."
  type        = any
  default     = null
}

variable "log_level" {
  type    = string
  default = "info"
}

provider "aws" {
  region                      = "eu-west-1"
  access_key                  = "test"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_region_validation      = true
  skip_requesting_account_id  = true
  s3_use_path_style           = true

  endpoints {
    apigatewayv2   = var.endpoint
    cloudwatchlogs = var.endpoint
    dynamodb       = var.endpoint
    ec2            = var.endpoint
    events         = var.endpoint
    iam            = var.endpoint
    lambda         = var.endpoint
    s3             = var.endpoint
    sqs            = var.endpoint
    ssm            = var.endpoint
    sts            = var.endpoint
  }
}

data "aws_vpc" "default" {
  default = true
}

data "aws_subnets" "default" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.default.id]
  }
}

module "dayfly" {
  source               = "../../terraform"
  environment          = var.environment
  control_zip          = var.control_zip
  github               = var.github
  vpc_id               = data.aws_vpc.default.id
  subnet_ids           = sort(data.aws_subnets.default.ids)
  function_timeouts    = var.function_timeouts
  function_concurrency = var.function_concurrency
  log_level            = var.log_level
  runner_versions      = var.runner_versions
  housekeeping         = var.housekeeping

  # A fleet that looks its image up has none in its launch template.
  fleets = { for name, fleet in var.fleets : name => merge(
    { for field, value in { image_id = "ami-0da7f1a0da7f1a001" } : field => value if !can(fleet.image) }, fleet
  ) }
}

output "webhook_url" {
  value = module.dayfly.webhook_url
}

output "api_id" {
  value = module.dayfly.api_id
}

output "functions" {
  value = module.dayfly.functions
}

output "table" {
  value = module.dayfly.table
}

output "bucket" {
  value = module.dayfly.bucket
}

output "wake_queue_url" {
  value = module.dayfly.queue_urls["wake"]
}

output "wake_dead_letter_queue_url" {
  value = module.dayfly.queue_urls["wake-dlq"]
}

output "lifecycle_queue_url" {
  value = module.dayfly.queue_urls["lifecycle"]
}

output "lifecycle_dead_letter_queue_url" {
  value = module.dayfly.queue_urls["lifecycle-dlq"]
}

output "registration_prefix" {
  value = module.dayfly.registration_prefix
}

output "registration_bucket" {
  value = module.dayfly.registration_bucket
}

output "registration_bucket_prefix" {
  value = module.dayfly.registration_bucket_prefix
}

output "runners_bucket" {
  value = module.dayfly.runners_bucket
}

output "launch_templates" {
  value = module.dayfly.launch_templates
}
