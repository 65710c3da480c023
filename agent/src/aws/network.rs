//! The way to AWS: through a proxy or straight, and which certificates are trusted on it.
//!
//! Both are said by the environment, in the names other AWS tools know. Never for the metadata service, which is on
//! this machine ([`super::imds`]).

use std::collections::BTreeMap;
use std::fmt;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use dayfly_contract::{Problem, Problems};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Proxies, first come first served. AWS is asked by HTTPS alone, so `HTTP_PROXY` has no say.
const PROXIES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
const NO_PROXIES: [&str; 2] = ["NO_PROXY", "no_proxy"];
/// Files of certificates, first come first served. `SSL_CERT_DIR` is read too, by `rustls-native-certs`, where neither
/// of these is set.
const BUNDLES: [&str; 2] = ["AWS_CA_BUNDLE", "SSL_CERT_FILE"];

/// How AWS is reached. By default: straight, trusting the system's certificates.
///
/// Those are looked for at run time, as a static binary brings none along: in `/etc/ssl/certs/ca-certificates.crt`
/// (Debian, Ubuntu), `/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem` (Amazon Linux 2023, RHEL) and a few other
/// places by `rustls-native-certs`. Both images have theirs from the package `ca-certificates`, which they can't be
/// without.
#[derive(Clone, Default)]
pub struct Network {
    proxy: Option<ProxyConfig>,
    /// Trusted instead of the system's; as PEM.
    roots: Option<Vec<String>>,
}

impl fmt::Debug for Network {
    /// Without the proxy, whose URL may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("proxy", &self.proxy.is_some())
            .field("roots", &self.roots.as_ref().map(Vec::len))
            .finish()
    }
}

impl Network {
    /// Reads `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY` (or in small letters), `AWS_CA_BUNDLE` and `SSL_CERT_FILE` from
    /// environment variables; an empty one counts as not set. The file that is named takes the place of the system's
    /// certificates, as with other AWS tools. What is refused is passed over in the network that comes back.
    pub fn read(vars: impl IntoIterator<Item = (String, String)>) -> (Self, Problems) {
        let vars: BTreeMap<String, String> = vars.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let first = |names: &[&'static str]| names.iter().find_map(|name| Some((*name, vars.get(*name)?.as_str())));
        let mut problems = Problems::default();
        let proxy = first(&PROXIES).and_then(|(name, value)| {
            let no_proxy = first(&NO_PROXIES).map_or("", |(_, value)| value);
            proxy(name, value, no_proxy).map_err(|problem| problems.0.push(problem)).ok()
        });
        let roots = first(&BUNDLES)
            .and_then(|(name, value)| bundle(name, value).map_err(|problem| problems.0.push(problem)).ok());
        (Self { proxy, roots }, problems)
    }

    /// An HTTP client with rustls and ring.
    #[must_use]
    pub fn client(&self) -> SharedHttpClient {
        let network = self.clone();
        // The SDK's public builder knows no proxies. This one, which is hidden from its documentation, is how it gives
        // them to its own default client; like the public one it keeps a connector for each set of time limits.
        aws_smithy_http_client::Builder::new().build_with_connector_fn(move |settings, components| {
            let mut connector = Connector::builder();
            connector.set_connector_settings(settings.cloned());
            if let Some(components) = components {
                connector.set_sleep_impl(components.sleep_impl());
            }
            connector.set_proxy_config(network.proxy.clone());
            let connector = connector.tls_provider(Provider::Rustls(CryptoMode::Ring));
            match network.trust() {
                Some(trust) => connector.tls_context(trust).build(),
                None => connector.build(),
            }
        })
    }

    fn trust(&self) -> Option<TlsContext> {
        let roots = self.roots.as_ref()?;
        let store = roots.iter().fold(TrustStore::empty(), |store, pem| store.with_pem_certificate(pem.as_bytes()));
        // Can't fail: the certificates were tried out when they were read.
        TlsContext::builder().with_trust_store(store).build().ok()
    }
}

fn proxy(name: &str, value: &str, no_proxy: &str) -> Result<ProxyConfig, Problem> {
    // curl and others take a bare host and port, too.
    let url = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
    match ProxyConfig::https(url) {
        Ok(proxy) => Ok(proxy.no_proxy(no_proxy)),
        // The error quotes nothing that the value does not show.
        Err(_error) => {
            let shown = format!("{:?}", without_password(value));
            Err(Problem::new(name, shown, "the URL of a proxy, as in \"http://proxy.example.com:3128\""))
        }
    }
}

fn without_password(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_user_and_password, rest)) => format!("***@{rest}"),
        None => url.to_owned(),
    }
}

/// The certificates in the file `path`, each as PEM. Those that TLS can't use are left out: a system's bundle may well
/// have one, and the SDK would panic on it.
fn bundle(name: &str, path: &str) -> Result<Vec<String>, Problem> {
    let refuse = |why: String| {
        let allowed = format!("a readable file of one or more certificates in PEM ({why})");
        Problem::new(name, format!("{path:?}"), allowed)
    };
    let text = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    let usable: Vec<String> = CertificateDer::pem_slice_iter(&text)
        .filter_map(Result::ok)
        .filter(|certificate| roots.add(certificate.clone()).is_ok())
        .map(|certificate| pem(&certificate))
        .collect();
    if usable.is_empty() { Err(refuse("no usable certificate in it".to_owned())) } else { Ok(usable) }
}

fn pem(certificate: &CertificateDer<'_>) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", BASE64.encode(certificate))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn read(vars: &[(&str, &str)]) -> (Network, Problems) {
        Network::read(vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    fn data(name: &str) -> String {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name).display().to_string()
    }

    fn is_proxied(vars: &[(&str, &str)]) -> bool {
        let (network, problems) = read(vars);
        assert_eq!(problems, Problems::default());
        network.proxy.is_some()
    }

    #[test]
    fn a_proxy_is_read_from_either_name() {
        for name in PROXIES {
            assert!(is_proxied(&[(name, "http://proxy:3128")]), "{name}");
        }
        assert!(is_proxied(&[("HTTPS_PROXY", "proxy.example.com:3128")]));
        assert!(is_proxied(&[("HTTPS_PROXY", "https://user:pass@proxy")]));
        assert!(!is_proxied(&[("HTTPS_PROXY", ""), ("HTTP_PROXY", "http://proxy:3128"), ("PATH", "/bin")]));
    }

    #[test]
    fn all_mistakes_are_told_at_once_and_no_password() {
        let (network, problems) = read(&[
            ("HTTPS_PROXY", "socks5://me:hunter2@proxy"),
            ("AWS_CA_BUNDLE", "/nonexistent/ca.pem"),
            // Has no say where the one above is set.
            ("SSL_CERT_FILE", &data("ca.pem")),
        ]);
        assert!(network.proxy.is_none() && network.roots.is_none());
        let text = problems.to_string();
        assert!(text.starts_with("HTTPS_PROXY: found \"***@proxy\", expected the URL of a proxy"), "{text}");
        assert!(text.contains("AWS_CA_BUNDLE: found \"/nonexistent/ca.pem\", expected a readable file"), "{text}");
        assert!(text.contains("No such file") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn a_network_does_not_show_its_proxys_password() {
        let (network, _) = read(&[("HTTPS_PROXY", "http://me:hunter2@proxy")]);
        assert_eq!(format!("{network:?}"), "Network { proxy: true, roots: None }");
    }

    #[test]
    fn a_bundle_needs_one_certificate_that_can_be_used() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bundle.pem");
        let ca = std::fs::read_to_string(data("ca.pem")).unwrap();
        let broken = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
        for (text, usable) in [("", 0), ("hello", 0), (broken, 0), (&*ca, 1), (&*format!("# x\n{broken}{ca}{ca}"), 2)] {
            std::fs::write(&file, text).unwrap();
            for name in BUNDLES {
                let (network, problems) = read(&[(name, file.to_str().unwrap())]);
                assert_eq!(network.roots.unwrap_or_default().len(), usable, "{text}");
                assert_eq!(problems.0.len(), usize::from(usable == 0), "{text}");
                assert!(problems.0.iter().all(|problem| problem.allowed.contains("no usable certificate")));
            }
        }
    }
}
