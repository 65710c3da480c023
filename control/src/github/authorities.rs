//! Whose certificate a GitHub server may have, where it is none that the system trusts: a GHES of a company's own CA.

use std::{str::FromStr, sync::Arc, time::Duration};

use http::{HeaderValue, Uri, header};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use octocrab::{
    AuthState, Octocrab, OctocrabBuilder,
    service::middleware::{base_uri::BaseUriLayer, extra_headers::ExtraHeadersLayer},
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{
    CertificateDer,
    pem::{PemObject, SectionKind},
};

use crate::report::BoxError;

/// GitHub turns requests away that don't say who makes them. What octocrab itself says.
const USER_AGENT: HeaderValue = HeaderValue::from_static("octocrab");

/// The CAs that are trusted at GitHub in place of the system's. None: the system's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authorities(Vec<CertificateDer<'static>>);

/// A text that is something else than certificates, each as PEM. What it is may be a secret, and is not told.
#[derive(Debug, thiserror::Error)]
#[error("not certificates, each as PEM")]
pub struct NotCertificates;

impl FromStr for Authorities {
    type Err = NotCertificates;

    /// Reads certificates as PEM, one after the other. They may be indented, and line ends may be written as `\n`.
    fn from_str(text: &str) -> Result<Self, NotCertificates> {
        let text = text.replace("\\n", "\n");
        let text = text.lines().map(str::trim).collect::<Vec<_>>().join("\n");
        let sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(text.as_bytes());
        let certificate = |section: Result<(SectionKind, Vec<u8>), _>| match section {
            Ok((SectionKind::Certificate, der)) => Ok(CertificateDer::from(der)),
            _ => Err(NotCertificates),
        };
        let it = Self(sections.map(certificate).collect::<Result<_, _>>()?);
        // A section of a kind that nobody knows is passed over by the reader, and would be missed at GitHub.
        let begun = text.lines().filter(|line| line.starts_with("-----BEGIN")).count();
        if it.0.is_empty() || it.0.len() != begun || it.roots().is_err() {
            return Err(NotCertificates);
        }
        Ok(it)
    }
}

impl Authorities {
    /// Whether the system's are trusted.
    pub(super) fn are_the_systems(&self) -> bool {
        self.0.is_empty()
    }

    /// A client of the REST API at `url` that trusts these alone. What octocrab builds by itself knows the system's alone.
    pub(super) fn client(&self, url: &str, connect_timeout: Duration) -> Result<Octocrab, BoxError> {
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(self.roots()?)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        // The greetings of TLS among them.
        let connector =
            Octocrab::builder().set_connect_timeout(Some(connect_timeout)).set_connect_timeout_service(connector);
        let Ok(octocrab) = OctocrabBuilder::new_empty()
            .with_service(Client::builder(TokioExecutor::new()).build(connector))
            .with_layer(&BaseUriLayer::new(url.parse::<Uri>()?))
            .with_layer(&ExtraHeadersLayer::new(Arc::new(vec![(header::USER_AGENT, USER_AGENT)])))
            .with_auth(AuthState::None)
            .build();
        Ok(octocrab)
    }

    fn roots(&self) -> Result<RootCertStore, rustls::Error> {
        let mut roots = RootCertStore::empty();
        self.0.iter().try_for_each(|it| roots.add(it.clone()))?;
        Ok(roots)
    }
}

#[cfg(test)]
pub(super) mod tests;
