//! What outbound handshakes are made with: two ways to look at a certificate, each with its own memory of sessions.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::roots::{self, RootsError};
use super::troubled::Troubled;
use super::whoever::Whoever;
use crate::config::{Roots, Tls};
use crate::mail::Channel;

/// TLS towards other hosts, as the settings want it. Shared by all workers; made anew when the settings change.
#[derive(Debug)]
pub struct Outbound {
    provider: Arc<CryptoProvider>,
    /// With whoever it is.
    whoever: Arc<ClientConfig>,
    /// The authorities of a file, which was read at the start; `None`: the system's.
    roots: Option<Arc<RootCertStore>>,
    /// With a host that proves who it is. The system's authorities are only read when somebody asks for them.
    proven: OnceLock<Result<Arc<ClientConfig>, String>>,
    troubled: Troubled,
}

impl Outbound {
    /// Sessions are remembered for resumption, by the name of the host, apart for each way to look at certificates: one that
    /// began with whoever it was never stands in for a proof. So many hosts are remembered each way.
    const HOSTS: usize = 512;
    /// What rustls counts in: it keeps this many tickets for a host.
    const TICKETS: usize = 8;

    /// What `[tls]` asks for.
    ///
    /// # Errors
    /// [`RootsError`] when the file of `tls.roots` cannot be read.
    pub fn new(settings: &Tls) -> Result<Outbound, RootsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let whoever = config(&provider, Arc::new(Whoever(Arc::clone(&provider))));
        let roots = match &settings.roots {
            Roots::System => None,
            Roots::File(path) => Some(Arc::new(roots::of_file(path)?)),
        };
        let troubled = Troubled::default();
        Ok(Outbound { provider, whoever, roots, proven: OnceLock::new(), troubled })
    }

    /// Our side of a handshake with the host that the route calls `name`, at `address`. With `verify` its certificate must
    /// be good, and for that name.
    ///
    /// # Errors
    /// Words, when the name cannot stand in a certificate, or there are no authorities.
    pub fn connection(&self, name: &str, address: IpAddr, verify: bool) -> Result<ClientConnection, String> {
        let config = if verify {
            self.proven.get_or_init(|| self.prove()).clone()?
        } else {
            Arc::clone(&self.whoever)
        };
        let server = match server_name(name) {
            Some(server) => server,
            None if verify => return Err(format!("no certificate can be for the name {name}")),
            None => ServerName::IpAddress(address.into()),
        };
        ClientConnection::new(config, server).map_err(|error| error.to_string())
    }

    fn prove(&self) -> Result<Arc<ClientConfig>, String> {
        Ok(config(&self.provider, self.verifier()?))
    }

    /// Who looks at certificates where a host must prove who it is.
    pub(super) fn verifier(&self) -> Result<Arc<WebPkiServerVerifier>, String> {
        let roots = self.roots.clone().unwrap_or_else(|| Arc::new(roots::of_system()));
        let provider = Arc::clone(&self.provider);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
        verifier.map_err(|error| error.to_string())
    }

    /// What went wrong lately with TLS at `address`.
    pub fn troubled(&self, address: SocketAddr, now: Instant) -> Option<Arc<str>> {
        self.troubled.lately(address, now)
    }

    /// TLS with `address` came to nothing.
    pub fn failed(&self, address: SocketAddr, now: Instant, words: &str) {
        self.troubled.note(address, now, words);
    }
}

fn config(provider: &Arc<CryptoProvider>, verifier: Arc<dyn ServerCertVerifier>) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider));
    #[allow(clippy::expect_used)] // ring's suites serve both versions; every test run comes through here.
    let builder = builder.with_protocol_versions(rustls::ALL_VERSIONS).expect("ring knows TLS 1.2 and 1.3");
    // "Dangerous" is what rustls calls a verifier of one's own.
    let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    config.resumption = Resumption::in_memory_sessions(Outbound::HOSTS * Outbound::TICKETS);
    Arc::new(config)
}

/// A host as certificates name it: a domain, or an address that stands in a route as a literal.
pub(super) fn server_name(name: &str) -> Option<ServerName<'static>> {
    let literal = name.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    match literal {
        Some(literal) => {
            let address = literal.strip_prefix("IPv6:").unwrap_or(literal);
            address.parse::<IpAddr>().ok().map(|address| ServerName::IpAddress(address.into()))
        }
        None => ServerName::try_from(name.to_owned()).ok(),
    }
}

/// What a handshake with `name` has come to, with its version and cipher.
pub fn agreed(terms: Option<(String, String)>, name: &str, verified: bool) -> Channel {
    let (version, cipher) = terms.unwrap_or_else(|| ("-".to_owned(), "-".to_owned()));
    let reason = if verified { format!("certificate of {name}") } else { "not asked".to_owned() };
    Channel::Tls { version, cipher, trusted: verified, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_named_as_certificates_name_them() {
        let named = |text: &str| server_name(text).map(|name| name.to_str().into_owned());
        assert_eq!(named("mx.example.org").as_deref(), Some("mx.example.org"));
        assert_eq!(named("mx_1.example.org").as_deref(), Some("mx_1.example.org"));
        assert_eq!(named("[192.0.2.1]").as_deref(), Some("192.0.2.1"));
        assert_eq!(named("[IPv6:2001:db8::1]").as_deref(), Some("2001:db8::1"));
        assert_eq!((named("-"), named("[a]")), (None, None));
    }

    #[test]
    fn a_file_without_authorities_is_refused_at_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("roots.pem");
        let settings = || Tls { roots: Roots::File(path.clone()), ..crate::config::Config::default().tls };
        let refused = || Outbound::new(&settings()).unwrap_err().to_string();
        assert!(refused().starts_with("tls.roots: "), "{}", refused());
        std::fs::write(&path, "nothing").unwrap();
        assert!(refused().ends_with("there is no certificate in it"), "{}", refused());
        let of_directory = Tls { roots: Roots::File(dir.path().to_owned()), ..settings() };
        assert!(Outbound::new(&of_directory).unwrap_err().to_string().ends_with("it is no file"));
        let key = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        std::fs::write(&path, key.cert.pem()).unwrap();
        assert!(
            Outbound::new(&settings()).unwrap().connection("a.example", [127, 0, 0, 1].into(), true).is_ok()
        );
    }
}
