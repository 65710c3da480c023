# Apart from the others, whose source a run can't take away.

variables {
  agent_config = "{\"version\":1}"
  kind         = "stock"
}

run "a_stock_image_has_a_source" {
  command         = plan
  expect_failures = [output.user_data]
}

run "who_looks_himself_is_not_refused" {
  command = plan
  variables { strict = false }
  assert {
    condition     = output.bytes > 8000
    error_message = "${output.bytes} bytes"
  }
}
