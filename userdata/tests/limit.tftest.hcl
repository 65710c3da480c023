# How much user-data there may be, to the byte.

variables {
  agent_config = "{\"version\":1}"
  kind         = "baked"
}

run "alone" {
  command = plan
}

run "what_ec2_takes" {
  command = plan
  variables { agent_config = "{\"version\":1}${format("%${16384 - run.alone.bytes}s", "")}" }
  assert {
    condition     = output.bytes == 16384
    error_message = "${output.bytes} bytes"
  }
}

run "one_byte_more" {
  command = plan
  variables { agent_config = "{\"version\":1}${format("%${16385 - run.alone.bytes}s", "")}" }
  expect_failures = [output.user_data]
}

run "one_less_in_the_last_three" {
  command = plan
  variables { agent_config = "{\"version\":1}${format("%${16383 - run.alone.bytes}s", "")}" }
  assert {
    condition     = output.bytes == 16383
    error_message = "${output.bytes} bytes"
  }
}

run "bytes_and_not_characters" {
  command = plan
  variables { agent_config = "{\"version\":1,\"x\":\"${join("", [for i in range(1000) : "ééééééééé"])}\"}" }
  expect_failures = [output.user_data]
}
