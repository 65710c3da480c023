//! Finds the agent's config in user-data, which Terraform writes for cloud-init and the agent alike.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use dayfly_contract::{Problem, Problems, names};
use serde::Deserialize;

/// A `#cloud-config` document as far as it matters here.
#[derive(Deserialize)]
struct CloudConfig {
    #[serde(default)]
    write_files: Option<Vec<File>>,
}

#[derive(Deserialize)]
struct File {
    path: String,
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    encoding: Option<String>,
}

/// The text of the agent's config in `user_data`; `None` where that is about something else. A `#cloud-config` holds it
/// as the file `/etc/dayfly/agent.json`; a JSON object is taken as the config itself.
pub fn agent_config(user_data: &str) -> Result<Option<String>, Problems> {
    if user_data.trim_start().starts_with('{') {
        return Ok(Some(user_data.to_owned()));
    }
    // cloud-init goes by the first line: https://cloudinit.readthedocs.io/en/latest/explanation/format.html
    if user_data.lines().next().map(str::trim_end) != Some("#cloud-config") {
        return Ok(None);
    }
    // One field of a document that cloud-init understands better than we do: a list of another shape elsewhere in it
    // is none of our business, broken YAML is.
    let config: CloudConfig = serde_saphyr::from_str(user_data).map_err(|error| {
        // Its text quotes the document, which may hold other people's secrets: the place will do.
        let place =
            error.location().map_or_else(String::new, |at| format!(", line {} column {}", at.line(), at.column()));
        refused(
            "user-data",
            &format!("#cloud-config{place}"),
            "YAML in which write_files is a list of files with a path",
        )
    })?;
    let files = config.write_files.unwrap_or_default();
    // cloud-init writes them in order, so the last one stays.
    let Some(file) = files.into_iter().rfind(|file| file.path == names::AGENT_CONFIG_PATH) else { return Ok(None) };
    let content = file.content.unwrap_or_default();
    match file.encoding.as_deref() {
        None | Some("" | "text/plain") => Ok(Some(content)),
        Some("b64" | "base64") => {
            let compact: String = content.split_ascii_whitespace().collect();
            let bytes = BASE64.decode(compact).ok();
            let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
            text.map(Some).ok_or_else(|| refused("content", &content, "text in base64"))
        }
        Some(other) => Err(refused("encoding", &format!("{other:?}"), "none, \"text/plain\", \"b64\" or \"base64\"")),
    }
}

fn refused(field: &str, found: &str, allowed: &str) -> Problems {
    let path = match field {
        "user-data" => field.to_owned(),
        field => format!("user-data: write_files[{}].{field}", names::AGENT_CONFIG_PATH),
    };
    Problems(vec![Problem::new(path, found, allowed)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_config_is_found_among_other_files() {
        let text = "#cloud-config\npackages: [git]\nwrite_files:\n- path: /etc/motd\n  content: hi\n- path: \
                    /etc/dayfly/agent.json\n  permissions: '0644'\n  content: |\n    {\"version\": 1}\n";
        assert_eq!(agent_config(text), Ok(Some("{\"version\": 1}\n".to_owned())));
    }

    #[test]
    fn base64_is_decoded_under_both_names() {
        for encoding in ["b64", "base64"] {
            let text = format!(
                "#cloud-config\nwrite_files:\n- encoding: {encoding}\n  path: /etc/dayfly/agent.json\n  content: \
                 eyJ2ZXJzaW9uIjogMX0=\n"
            );
            assert_eq!(agent_config(&text), Ok(Some("{\"version\": 1}".to_owned())));
        }
    }

    #[test]
    fn json_written_as_yaml_flow_is_cloud_config_too() {
        let text = "#cloud-config\n{\"write_files\": [{\"path\": \"/etc/dayfly/agent.json\", \"content\": \"{}\"}]}";
        assert_eq!(agent_config(text), Ok(Some("{}".to_owned())));
    }

    #[test]
    fn bare_json_is_the_config_itself() {
        assert_eq!(agent_config("\n {\"version\": 1}"), Ok(Some("\n {\"version\": 1}".to_owned())));
    }

    #[test]
    fn other_user_data_holds_none() {
        for text in ["", "#!/bin/sh\necho hi\n", "#cloud-config\nruncmd: [ls]\n", "#cloud-config\nwrite_files:\n"] {
            assert_eq!(agent_config(text), Ok(None), "{text}");
        }
    }

    #[test]
    fn mistakes_name_what_is_allowed() {
        let text = "#cloud-config\nwrite_files:\n- path: /etc/dayfly/agent.json\n  encoding: gz\n  content: x\n";
        let problem = agent_config(text).unwrap_err().to_string();
        assert_eq!(
            problem,
            "user-data: write_files[/etc/dayfly/agent.json].encoding: found \"gz\", expected none, \"text/plain\", \
             \"b64\" or \"base64\""
        );
        let text = "#cloud-config\nwrite_files:\n- path: /etc/dayfly/agent.json\n  encoding: b64\n  content: '%%'\n";
        assert!(agent_config(text).unwrap_err().to_string().contains("expected text in base64"));
        let text = "#cloud-config\nwrite_files: [\n";
        let problem = agent_config(text).unwrap_err().to_string();
        assert!(problem.starts_with("user-data: found #cloud-config, line "), "{problem}");
        let text = "#cloud-config\npassword: hunter2\nwrite_files: hunter2\n";
        let problem = agent_config(text).unwrap_err().to_string();
        assert!(
            problem.starts_with("user-data: found #cloud-config, line 3 column") && !problem.contains("hunter2"),
            "{problem}"
        );
    }
}
