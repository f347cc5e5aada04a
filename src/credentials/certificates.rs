//! Our certificates: which of them is shown to whom, and the terms of TLS on our side: 1.2 and 1.3, no client certificates.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, client};

use super::files::{read, read_secret};
use super::kept::Source;
use super::validity;
use crate::config::KeyPair;
use crate::time::Unix;

/// The terms of TLS for clients; `None`: there is no certificate, so there is no TLS.
pub type ServerTls = Option<Arc<ServerConfig>>;

/// Where our certificates are.
#[derive(Clone, Debug)]
pub struct Certificates(pub Vec<KeyPair>);

impl Source for Certificates {
    type Value = ServerTls;
    const WHAT: &'static str = "certificates";

    fn files(&self) -> Vec<&Path> {
        self.0.iter().flat_map(|pair| [pair.certificate.as_path(), pair.key.as_path()]).collect()
    }

    fn make(&self) -> Result<ServerTls, String> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let keys =
            self.0.iter().map(|pair| certified(pair, &provider).map(Arc::new)).collect::<Result<_, _>>()?;
        let versions = &[&rustls::version::TLS13, &rustls::version::TLS12];
        let terms = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions);
        let terms = terms.map_err(|error| error.to_string())?;
        Ok(Some(Arc::new(terms.with_no_client_auth().with_cert_resolver(Arc::new(Choice { keys })))))
    }
}

/// Each certificate file and when its certificate ends, for whoever checks the settings.
///
/// # Errors
/// As [`Source::make`].
pub fn expiries(certificates: &Certificates) -> Result<Vec<(String, Option<Unix>)>, String> {
    let expiry = |pair: &KeyPair| {
        let chain = chain(&pair.certificate)?;
        Ok((pair.certificate.display().to_string(), chain.first().and_then(|first| validity::ends(first))))
    };
    certificates.make().and_then(|_| certificates.0.iter().map(expiry).collect())
}

fn certified(pair: &KeyPair, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
    let chain = chain(&pair.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&read_secret(&pair.key)?)
        .map_err(|error| format!("{}: no private key in PEM: {error}", pair.key.display()))?;
    let certified = CertifiedKey::from_der(chain, key, provider);
    certified.map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            format!("{}: this is not the key of {}", pair.key.display(), pair.certificate.display())
        }
        error => format!("{} and {}: {error}", pair.certificate.display(), pair.key.display()),
    })
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = read(path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) => Err(format!("{}: no certificate in PEM", path.display())),
        Err(error) => Err(format!("{}: no certificate in PEM: {error}", path.display())),
    }
}

/// The choice of a certificate by the name that a client asks for (SNI, RFC 6066, 3).
struct Choice {
    /// In the order of the settings; at least one.
    keys: Vec<Arc<CertifiedKey>>,
}

impl fmt::Debug for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} certificates", self.keys.len())
    }
}

impl ResolvesServerCert for Choice {
    fn resolve(&self, hello: ClientHello) -> Option<Arc<CertifiedKey>> {
        let usable = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        let named = |key: &&Arc<CertifiedKey>| hello.server_name().is_some_and(|name| is_for(key, name));
        let found = self.keys.iter().filter(usable).find(named);
        // A name that none of them has is no reason to refuse: many a mail program asks for what it was told to connect to.
        found.or_else(|| self.keys.iter().find(usable)).or(self.keys.first()).cloned()
    }
}

fn is_for(key: &CertifiedKey, name: &str) -> bool {
    let (Ok(end), Ok(name)) = (key.end_entity_cert(), ServerName::try_from(name)) else { return false };
    ParsedCertificate::try_from(end).is_ok_and(|parsed| client::verify_server_name(&parsed, &name).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn pair(dir: &Path, name: &str) -> KeyPair {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let (certificate, key) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
        fs::write(&certificate, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        KeyPair { certificate, key }
    }

    #[test]
    fn what_does_not_fit_is_said_with_its_file() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Certificates(Vec::new()).make().unwrap().is_none());
        let (a, b) = (pair(dir.path(), "a.test"), pair(dir.path(), "b.test"));
        assert!(Certificates(vec![a.clone(), b.clone()]).make().unwrap().is_some());
        let wrong = |certificate: &Path, key: &Path| {
            let pair = KeyPair { certificate: certificate.into(), key: key.into() };
            Certificates(vec![pair]).make().unwrap_err()
        };
        assert!(wrong(&a.certificate, &b.key).contains("b.test.key: this is not the key of "));
        assert!(wrong(&a.key, &a.key).ends_with("a.test.key: no certificate in PEM"));
        fs::set_permissions(&b.certificate, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(wrong(&a.certificate, &b.certificate).contains("b.test.pem: no private key in PEM"));
        fs::set_permissions(&a.key, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(wrong(&a.certificate, &a.key).contains("others may use it (mode 644)"));
    }

    #[test]
    fn a_name_is_that_of_a_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let provider = rustls::crypto::ring::default_provider();
        let key = certified(&pair(dir.path(), "*.a.test"), &provider).unwrap();
        for (name, fits) in [("x.a.test", true), ("a.test", false), ("b.test", false), ("no name", false)] {
            assert_eq!(is_for(&key, name), fits, "{name}");
        }
        let ends = expiries(&Certificates(vec![pair(dir.path(), "b.test")])).unwrap();
        // What rcgen says when it is not told: the year 4096.
        assert_eq!(ends[0].1, Some(Unix(67_090_118_400)), "{ends:?}");
    }
}
