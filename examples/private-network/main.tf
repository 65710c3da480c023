# Nothing leaves for the internet by itself: AWS is reached by endpoints, GitHub by the network's own way (a proxy, or a GitHub
# Enterprise Server in it). What needs which endpoint: instances SSM, SQS, EC2 and S3; functions all of them.

module "dayfly" {
  source      = "../../terraform"
  deployment  = "private-network"
  vpc_id      = var.vpc_id
  subnets     = var.subnets
  control_zip = var.control_zip

  github = {
    app_id         = nonsensitive(var.github_app.id)
    app_key        = var.github_app.key
    webhook_secret = var.github_app.webhook_secret
  }

  # The functions, too, are in the VPC.
  function_network       = { subnets = var.subnets, security_groups = [aws_security_group.functions.id] }
  runner_security_groups = [aws_security_group.endpoint_users.id]

  fleets = {
    linux-x64 = {
      labels         = ["self-hosted", "linux", "x64"]
      max            = 10
      image_id       = "ami-0123456789abcdef0"
      instance_types = ["c7i.large"]
      agent          = { runner_environment = { HTTPS_PROXY = "http://proxy.example:3128", NO_PROXY = "169.254.169.254,.amazonaws.com" } }
    }
  }
}

resource "aws_security_group" "functions" {
  name        = "dayfly-private-network-functions"
  description = "Dayfly's functions: nothing comes in"
  vpc_id      = var.vpc_id

  egress {
    description = "AWS and GitHub"
    protocol    = "tcp"
    from_port   = 443
    to_port     = 443
    cidr_blocks = ["0.0.0.0/0"]
  }
}

# Instances are in it beside their own group, so that the endpoints can say who may come.
resource "aws_security_group" "endpoint_users" {
  name        = "dayfly-private-network-endpoint-users"
  description = "Who may reach the endpoints"
  vpc_id      = var.vpc_id
}

resource "aws_security_group" "endpoints" {
  name        = "dayfly-private-network-endpoints"
  description = "Endpoints of AWS: from runners and functions"
  vpc_id      = var.vpc_id

  ingress {
    description     = "TLS"
    protocol        = "tcp"
    from_port       = 443
    to_port         = 443
    security_groups = [aws_security_group.functions.id, aws_security_group.endpoint_users.id]
  }
}

resource "aws_vpc_endpoint" "interface" {
  for_each            = toset(["ec2", "logs", "sqs", "ssm"])
  vpc_id              = var.vpc_id
  service_name        = "com.amazonaws.eu-west-1.${each.key}"
  vpc_endpoint_type   = "Interface"
  subnet_ids          = var.subnets
  security_group_ids  = [aws_security_group.endpoints.id]
  private_dns_enabled = true
}

resource "aws_vpc_endpoint" "gateway" {
  for_each          = toset(["dynamodb", "s3"])
  vpc_id            = var.vpc_id
  service_name      = "com.amazonaws.eu-west-1.${each.key}"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = var.route_tables
}

variable "route_tables" {
  description = "Route tables of these subnets, which get routes to S3 and DynamoDB."
  type        = list(string)
}

output "github_setup" {
  description = "What to enter in the GitHub App's settings."
  value       = module.dayfly.github_setup
}
