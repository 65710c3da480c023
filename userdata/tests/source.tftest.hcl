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

run "a_baked_image_needs_none" {
  command = plan
  variables { kind = "baked" }
  assert {
    condition     = !strcontains(output.user_data, "runcmd")
    error_message = "nothing is installed"
  }
}

run "a_template_of_ones_own_needs_none" {
  command = plan
  variables { template_file = "baked.yaml.tftpl" }
}

run "a_baked_image_runs_nothing_before" {
  command = plan
  variables {
    kind        = "baked"
    pre_install = "#!/bin/sh"
  }
  expect_failures = [output.user_data]
}

run "a_baked_image_runs_nothing_after" {
  command = plan
  variables {
    kind         = "baked"
    post_install = "#!/bin/sh"
  }
  expect_failures = [output.user_data]
}

run "who_looks_himself_is_not_refused_scripts" {
  command = plan
  variables {
    kind        = "baked"
    pre_install = "#!/bin/sh"
    strict      = false
  }
}
