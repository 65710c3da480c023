//! The routes, put together and served.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info};

use crate::answer::{Answered, Failure};
use crate::config::Config;
use crate::github::Github;
use crate::shared::Shared;
use crate::webhooks::Deliverer;
use crate::world::World;
use crate::{admin, gate, routes, runner_protocol};

/// How often runners are looked at that fell silent.
const SWEEP: Duration = Duration::from_millis(250);

/// Binds, spawns the tasks and answers the handle.
pub(crate) async fn start(config: Config) -> anyhow::Result<Github> {
    let listener = TcpListener::bind(config.listen).await.with_context(|| format!("listening on {}", config.listen))?;
    let addr = listener.local_addr().context("asking for the address listened on")?;
    let public_url = config.public_url.clone().unwrap_or_else(|| format!("http://{addr}"));
    let (deliverer, outgoing) = Deliverer::new(&config).context("building the webhooks' HTTP client")?;
    let shared = Arc::new(Shared::new(&config, public_url.trim_end_matches('/').to_owned(), deliverer.clone())?);
    let (stop, stopped) = watch::channel(false);
    let github = Github::new(shared.clone(), addr, stop);

    let app = router(&shared, &github);
    tokio::spawn(until(stopped.clone(), deliverer.run(outgoing)));
    tokio::spawn(until(stopped.clone(), sweep(shared)));
    tokio::spawn(until(stopped, async move {
        if let Err(error) = axum::serve(listener, app).await {
            error!(%error, "The emulator stopped serving");
        }
    }));
    info!(http.url = %github.url(), "GitHub listens on {addr}");
    Ok(github)
}

fn router(shared: &Arc<Shared>, github: &Github) -> Router {
    let api = routes::all();
    let rest = Router::new()
        .merge(api.clone())
        // GitHub Enterprise Server has the same API under this path.
        .nest("/api/v3", api)
        .fallback(unknown)
        .layer(from_fn_with_state(shared.clone(), gate::api))
        .with_state(shared.clone());
    let others = runner_protocol::routes().merge(routes::downloads_of_releases());
    let others = others.layer(from_fn_with_state(shared.clone(), gate::plain)).with_state(shared.clone());
    rest.merge(others).merge(admin::routes().with_state(github.clone()))
}

async fn unknown() -> Answered {
    Err(Failure::not_found())
}

async fn sweep(shared: Arc<Shared>) {
    let mut ticks = interval(SWEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        shared.change(World::sweep);
    }
}

/// Runs until told to stop, or until the last handle is gone.
async fn until(mut stopped: watch::Receiver<bool>, work: impl Future<Output = ()>) {
    tokio::select! {
        // An error means that nobody is left who could stop it; the emulator then lives on with the runtime.
        () = async {
            if stopped.wait_for(|stop| *stop).await.is_err() {
                std::future::pending::<()>().await;
            }
        } => {}
        () = work => {}
    }
}
