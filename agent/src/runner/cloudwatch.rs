//! Starts the CloudWatch agent, where the image has it and the config names a configuration for it.

use std::path::Path;
use std::time::Duration;

use tracing::{info, warn};

use super::environment::Environment;
use super::script::{ScriptEnd, run_script};
use super::tools::PATH;

/// Where its package puts it.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/start-CloudWatch-Agent-on-premise-SSM-onprem.html>
const CONTROL: &str = "/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl";
/// It fetches a parameter and has systemd start a service.
const LIMIT: Duration = Duration::from_mins(2);

/// Starts it with `config`: `ssm:<parameter>` or `file:<path>`. Where that fails there is one warning: jobs run without.
pub async fn start_cloudwatch(config: &str) {
    let _told = start_by(Path::new(CONTROL), config).await;
}

async fn start_by(control: &Path, config: &str) -> bool {
    if !control.exists() {
        warn!(path = %control.display(), "cloudwatch_agent is configured, but this image has no CloudWatch agent");
        return false;
    }
    let environment = Environment::from([("PATH".into(), PATH.into()), ("HOME".into(), "/root".into())]);
    let args = ["-a", "fetch-config", "-m", "ec2", "-s", "-c", config];
    match run_script(control, &args, LIMIT, &environment).await {
        ScriptEnd::Exited(status) if status.success() => {
            info!(config, "The CloudWatch agent is started");
            true
        }
        ScriptEnd::Exited(status) => {
            warn!(config, %status, "The CloudWatch agent is not started");
            false
        }
        // Told already.
        ScriptEnd::Killed | ScriptEnd::NotStarted(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn its_own_program_starts_it() {
        let folder = tempfile::tempdir().unwrap();
        let control = folder.path().join("ctl");
        assert!(!start_by(&control, "ssm:x").await);
        let script = "#!/bin/sh\necho \"$@\" > \"$(dirname \"$0\")/args\"\ntest \"$7\" = ssm:/cloudwatch/x\n";
        fs::write(&control, script).unwrap();
        fs::set_permissions(&control, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(start_by(&control, "ssm:/cloudwatch/x").await);
        let args = fs::read_to_string(folder.path().join("args")).unwrap();
        assert_eq!(args, "-a fetch-config -m ec2 -s -c ssm:/cloudwatch/x\n");
        assert!(!start_by(&control, "file:/none").await);
    }
}
