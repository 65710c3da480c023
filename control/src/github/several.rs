//! Several Apps as one: each has limits of its own, so the work is spread over them.

use std::cmp::Reverse;

use secrecy::SecretString;

use super::{Deletion, Found, GitHub, GitHubError, Jit, Job, NewRunner, Run, client::Client};
use crate::{
    clock::Clock,
    fleets::{Scope, Target},
    ledger::Notes,
    report::Failure,
};

/// One client for each App, or one for a token.
#[derive(Debug)]
pub struct Several<C, N> {
    clients: Vec<Client<C, N>>,
}

impl<C: Clock, N: Notes> Several<C, N> {
    /// All of `clients` as one; one at least.
    #[must_use]
    pub fn new(clients: Vec<Client<C, N>>) -> Self {
        Self { clients }
    }

    /// Whether GitHub did not know one of them when it was last asked.
    pub fn is_disowned(&self) -> bool {
        self.clients.iter().any(Client::is_disowned)
    }

    /// What each of the Apps is.
    pub async fn inspect(&self) -> Vec<super::inspect::Inspected> {
        let all = self.clients.iter().map(Client::inspect);
        futures::future::join_all(all).await.into_iter().flatten().collect()
    }

    /// The clients in the order in which they are to be asked about `target`: who is not limited and most has left comes
    /// first. Who is not known yet counts as untouched, so that it becomes known; who is not installed there comes last.
    async fn ranked(&self, target: &Target) -> Vec<&Client<C, N>> {
        let mut ranked = Vec::with_capacity(self.clients.len());
        for client in &self.clients {
            let left = client.remaining_at(target).unwrap_or(u64::MAX);
            ranked.push((client.is_absent(&target.scope).await, client.limited_at(target), Reverse(left), client));
        }
        // Stable: of equals, the first that is configured.
        ranked.sort_by_key(|(absent, limited, left, _)| (*absent, *limited, *left));
        ranked.into_iter().map(|(.., client)| client).collect()
    }

    /// Asks one client after the other until one is neither limited nor refused.
    async fn first<T>(
        &self,
        target: &Target,
        call: impl AsyncFn(&Client<C, N>) -> Result<T, GitHubError>,
    ) -> Result<T, GitHubError> {
        let mut mildest: Option<GitHubError> = None;
        for client in self.ranked(target).await {
            match call(client).await {
                Err(error @ (GitHubError::Limited { .. } | GitHubError::Permanent(_))) => {
                    mildest = Some(match mildest {
                        Some(before) => milder(before, error),
                        None => error,
                    });
                }
                other => return other,
            }
        }
        Err(mildest
            .unwrap_or_else(|| GitHubError::Permanent(Failure::new("asking GitHub", "there is no App to do so"))))
    }
}

/// Of two errors the one that passes sooner.
fn milder(first: GitHubError, second: GitHubError) -> GitHubError {
    match (&first, &second) {
        (GitHubError::Limited { wait: one, .. }, GitHubError::Limited { wait: other, .. }) if other < one => second,
        (GitHubError::Permanent(_), GitHubError::Limited { .. }) => second,
        _ => first,
    }
}

impl<C: Clock, N: Notes> GitHub for Several<C, N> {
    async fn authorize(&self, target: &Target) -> Result<(), GitHubError> {
        self.first(target, async |client| client.authorize(target).await).await
    }

    async fn jit_config(&self, target: &Target, runner: &NewRunner) -> Result<Jit, GitHubError> {
        self.first(target, async |client| client.jit_config(target, runner).await).await
    }

    async fn registration_token(&self, target: &Target) -> Result<SecretString, GitHubError> {
        self.first(target, async |client| client.registration_token(target).await).await
    }

    fn runner_url(&self, scope: &Scope) -> String {
        self.clients.first().map(|client| client.runner_url(scope)).unwrap_or_default()
    }

    async fn group(&self, target: &Target, name: &str) -> Result<u64, GitHubError> {
        self.first(target, async |client| client.group(target, name).await).await
    }

    async fn job(&self, target: &Target, repository: &str, id: u64) -> Result<Job, GitHubError> {
        self.first(target, async |client| client.job(target, repository, id).await).await
    }

    async fn run(&self, target: &Target, repository: &str, id: u64) -> Result<Run, GitHubError> {
        self.first(target, async |client| client.run(target, repository, id).await).await
    }

    async fn find_runner(&self, target: &Target, name: &str) -> Result<Option<Found>, GitHubError> {
        self.first(target, async |client| client.find_runner(target, name).await).await
    }

    async fn delete_runner(&self, target: &Target, id: u64) -> Result<Deletion, GitHubError> {
        self.first(target, async |client| client.delete_runner(target, id).await).await
    }

    /// Of the App that has most left: the others' work goes there.
    fn remaining(&self) -> Option<u64> {
        self.clients.iter().filter_map(GitHub::remaining).max()
    }
}

mod runs;
mod watch;

#[cfg(test)]
mod tests;
