//! Runs the emulator by hand: `github-emulator --listen 127.0.0.1:8080 --webhook-url ... `.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use laptop_github::{AppKey, Config, Github, Webhook};
use secrecy::SecretString;

/// GitHub, as far as Dayfly sees it.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// Address to listen on.
    #[arg(long, env = "GITHUB_EMULATOR_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Base URL in what is handed out; default: the address.
    #[arg(long, env = "GITHUB_EMULATOR_PUBLIC_URL")]
    public_url: Option<String>,
    /// The organization's login.
    #[arg(long, env = "GITHUB_EMULATOR_ORG", default_value = "octo-org")]
    org: String,
    /// A repository as owner/name; may be given several times. Default: octo-repo of the organization.
    #[arg(long, env = "GITHUB_EMULATOR_REPOSITORY")]
    repository: Vec<String>,
    /// The App's id.
    #[arg(long, env = "GITHUB_EMULATOR_APP_ID", default_value_t = laptop_github::LAPTOP_APP_ID)]
    app_id: u64,
    /// File with the App's key (PEM, private or public); default: the key of the laptop cloud.
    #[arg(long, env = "GITHUB_EMULATOR_APP_KEY_FILE")]
    app_key_file: Option<PathBuf>,
    /// Where webhooks go; the secret comes by `GITHUB_EMULATOR_WEBHOOK_SECRET` alone.
    #[arg(long, env = "GITHUB_EMULATOR_WEBHOOK_URL")]
    webhook_url: Option<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).init();
    let options = Options::parse();
    let app_key = match &options.app_key_file {
        None => Config::default().app_key,
        Some(path) => read_key(path)?,
    };
    let webhook = match options.webhook_url {
        None => None,
        Some(url) => {
            let secret = std::env::var("GITHUB_EMULATOR_WEBHOOK_SECRET")
                .context("GITHUB_EMULATOR_WEBHOOK_SECRET is needed where a webhook URL is given")?;
            Some(Webhook { url, secret: SecretString::from(secret) })
        }
    };
    let repositories =
        if options.repository.is_empty() { vec![format!("{}/octo-repo", options.org)] } else { options.repository };
    let github = Github::start(Config {
        listen: options.listen,
        public_url: options.public_url,
        app_id: options.app_id,
        app_key,
        org: options.org,
        repositories,
        webhook,
        ..Config::default()
    })
    .await?;
    tokio::signal::ctrl_c().await.context("waiting for Ctrl-C")?;
    github.stop();
    Ok(())
}

fn read_key(path: &PathBuf) -> anyhow::Result<AppKey> {
    let pem = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let private = pem.contains("PRIVATE KEY");
    Ok(if private { AppKey::Private(SecretString::from(pem)) } else { AppKey::Public(pem) })
}
