# What is refused, and by which words. No provider is needed for any of it.

variables {
  agent_config = "{\"version\":1}"
  agent_source = { bucket = "dayfly-main", key = "agent/a.tar.gz", sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" }
  kind         = "stock"
}

run "a_stock_image_fits" {
  command = plan
  assert {
    condition     = output.bytes < 10240
    error_message = "ours alone has ${output.bytes} bytes of 16384"
  }
  assert {
    condition     = yamldecode(output.user_data).write_files[0].content == var.agent_config
    error_message = "the config is not the first file"
  }
  assert {
    condition     = yamldecode(output.user_data).runcmd[0] == ["/usr/local/sbin/dayfly-install", "dayfly-main", "agent/a.tar.gz", var.agent_source.sha256, "900"]
    error_message = "the installation is called otherwise"
  }
}

run "scripts_come_whole" {
  command = plan
  variables {
    pre_install  = "#!/bin/sh\n\techo \"a\" 'b' \\ $X $${x} <&> ü\n\n"
    post_install = "#!/bin/sh"
  }
  assert {
    condition     = { for file in yamldecode(output.user_data).write_files : file.path => file.content }["/usr/local/lib/dayfly/pre-install"] == var.pre_install
    error_message = "pre_install was changed on its way"
  }
  assert {
    condition     = { for file in yamldecode(output.user_data).write_files : file.path => file.content }["/usr/local/lib/dayfly/post-install"] == var.post_install
    error_message = "post_install was changed on its way"
  }
  assert {
    condition     = { for file in yamldecode(output.user_data).write_files : file.path => file.content }["/usr/local/sbin/dayfly-install"] == file("files/install.sh")
    error_message = "install.sh was changed on its way"
  }
  assert {
    condition     = { for file in yamldecode(output.user_data).write_files : file.path => file.content }["/usr/local/lib/dayfly/fetch.py"] == file("files/fetch.py")
    error_message = "fetch.py was changed on its way"
  }
}

run "the_limit_is_told" {
  command = plan
  variables {
    pre_install = "#!/bin/sh\n${join("", [for i in range(1000) : "nine char"])}"
  }
  expect_failures = [output.user_data]
}

run "who_looks_himself_is_not_refused" {
  command = plan
  variables {
    strict      = false
    kind        = "baked"
    pre_install = "#!/bin/sh\n${join("", [for i in range(1000) : "nine or eighteen c"])}"
    # Of a baked image nothing of it is written, save by a template of one's own.
    template_file = "stock.yaml.tftpl"
  }
  assert {
    condition     = output.bytes > 16384
    error_message = "${output.bytes} bytes"
  }
}

run "kinds" {
  command = plan
  variables { kind = "cooked" }
  expect_failures = [var.kind]
}

run "a_config_is_json" {
  command = plan
  variables { agent_config = "version: 1" }
  expect_failures = [var.agent_config]
}

run "a_config_has_our_version" {
  command = plan
  variables { agent_config = "{\"version\":2}" }
  expect_failures = [var.agent_config]
}

run "a_hash_is_whole" {
  command = plan
  variables { agent_source = { bucket = "dayfly-main", key = "a", sha256 = "0123" } }
  expect_failures = [var.agent_source]
}

run "a_key_is_plain" {
  command = plan
  variables { agent_source = { bucket = "dayfly-main", key = "a b", sha256 = var.agent_source.sha256 } }
  expect_failures = [var.agent_source]
}

run "a_bucket_has_a_name" {
  command = plan
  variables { agent_source = { bucket = "Dayfly", key = "a", sha256 = var.agent_source.sha256 } }
  expect_failures = [var.agent_source]
}

run "a_template_of_ones_own_may_install_on_a_baked_image" {
  command = plan
  variables {
    kind          = "baked"
    template_file = "stock.yaml.tftpl"
    pre_install   = "#!/bin/sh"
  }
  assert {
    condition     = strcontains(output.user_data, "runcmd")
    error_message = "its own business"
  }
}

run "a_baked_image_installs_nothing" {
  command = plan
  variables { kind = "baked" }
  expect_failures = [output.user_data]
}

run "scripts_have_an_interpreter" {
  command = plan
  variables {
    pre_install  = "echo"
    post_install = "echo"
  }
  expect_failures = [var.pre_install, var.post_install]
}

run "an_environment_is_plain" {
  command = plan
  variables { agent_environment = { A = "a\"b" } }
  expect_failures = [var.agent_environment]
}

run "an_environment_is_one_line_each" {
  command = plan
  variables { agent_environment = { A = "a\nb" } }
  expect_failures = [var.agent_environment]
}

run "an_environment_escapes_nothing" {
  command = plan
  variables { agent_environment = { A = "a\\b" } }
  expect_failures = [var.agent_environment]
}

run "an_environment_has_names" {
  command = plan
  variables { agent_environment = { "A-B" = "c" } }
  expect_failures = [var.agent_environment]
}

run "installing_has_an_end_within_the_hour" {
  command = plan
  variables { install_seconds = 3601 }
  expect_failures = [var.install_seconds]
}

run "installing_takes_whole_seconds" {
  command = plan
  variables { install_seconds = 90.5 }
  expect_failures = [var.install_seconds]
}

run "installing_has_an_end" {
  command = plan
  variables { install_seconds = 5 }
  expect_failures = [var.install_seconds]
}
