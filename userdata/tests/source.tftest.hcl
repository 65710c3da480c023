# Apart from the others, whose source a run can't take away.

variables {
  agent_config = "{\"version\":1}"
  kind         = "stock"
}

run "a_stock_image_has_a_source" {
  command         = plan
  expect_failures = [output.user_data]
}
