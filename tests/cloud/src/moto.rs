//! moto as an HTTP server: AWS for one run.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::process::Child;

use crate::deployed::Tape;
use crate::paths;

/// A moto server; it ends with this value.
#[derive(Debug)]
pub(crate) struct Moto {
    child: Child,
    endpoint: String,
}

impl Moto {
    /// Starts moto on `host`, waits until it answers, and keeps its output in `log`.
    pub(crate) async fn start(host: &str, port: u16, tape: &Tape, log: &Path) -> Result<Self> {
        let output = std::fs::File::create(log).with_context(|| format!("creating {}", log.display()))?;
        let child = paths::dying_with_us(&paths::moto_python()?)
            .arg(paths::repository().join("tests/moto/server.py"))
            .args(["--host", host, "--port", &port.to_string()])
            .args(match tape {
                Tape::Record(file) => ["--record".as_ref(), file.as_os_str()],
                Tape::Replay(file) => ["--replay".as_ref(), file.as_os_str()],
            })
            .env("AWS_DEFAULT_REGION", "eu-west-1")
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .context("starting moto")?;
        let mut moto = Self { child, endpoint: format!("http://{host}:{port}") };
        moto.wait(log).await?;
        Ok(moto)
    }

    /// The base URL of every AWS service.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Ends the recording that it was started with.
    pub(crate) async fn stop_recording(&self) -> Result<()> {
        let url = format!("{}/_laptop/recording/stop", self.endpoint);
        crate::aws::client().post(url).send().await?.error_for_status().context("ending moto's recording")?;
        Ok(())
    }

    async fn wait(&mut self, log: &Path) -> Result<()> {
        let client = crate::aws::client();
        let limit = Instant::now() + Duration::from_mins(1);
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("moto ended with {status}; its output is in {}", log.display());
            }
            if client
                .get(format!("{}/_laptop/calls", self.endpoint))
                .send()
                .await
                .is_ok_and(|answer| answer.status().is_success())
            {
                return Ok(());
            }
            if Instant::now() > limit {
                bail!("moto does not answer at {}; its output is in {}", self.endpoint, log.display());
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// Ends it and waits until it is gone.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.child.start_kill()?;
        self.child.wait().await?;
        Ok(())
    }
}
