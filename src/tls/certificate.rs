//! A host's certificate as an operator sees it: the names it is for, and whether it would be trusted. What is decided in a
//! session is the verifier's alone; this asks the same one, for whoever only looks.

use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, UnixTime};

use super::outbound::{Outbound, server_name};
use super::words::words;
use crate::time::Unix;

/// What a host has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The names it is for, at most twenty; none when it cannot be read.
    pub names: Vec<String>,
    /// Why it would not be trusted, in words that stand after the host's name; `None`: it would be.
    pub doubt: Option<String>,
}

impl Certificate {
    /// The most names that are shown.
    const NAMES: usize = 20;

    /// Looks at the `chain` that the host called `name` has shown, its own certificate first, as of `now`; `None` when it
    /// has shown none.
    pub fn of(
        outbound: &Outbound,
        name: &str,
        chain: &[CertificateDer<'_>],
        now: Unix,
    ) -> Option<Certificate> {
        let (own, others) = chain.split_first()?;
        let names = webpki::EndEntityCert::try_from(own).map_or_else(
            |_| Vec::new(),
            |own| own.valid_dns_names().take(Certificate::NAMES).map(str::to_owned).collect(),
        );
        let now = UnixTime::since_unix_epoch(now.since(Unix(0)));
        let judged = || {
            let server = server_name(name).ok_or_else(|| "no certificate can be for its name".to_owned())?;
            let verifier = outbound.verifier()?;
            verifier.verify_server_cert(own, others, &server, &[], now).map_err(|error| words(&error))
        };
        Some(Certificate { names, doubt: judged().err() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Roots, Tls};
    use crate::time::clock;

    #[test]
    fn a_certificate_is_judged_as_a_session_would() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("roots.pem");
        let made =
            rcgen::generate_simple_self_signed(["a.example".to_owned(), "b.example".to_owned()]).unwrap();
        std::fs::write(&path, made.cert.pem()).unwrap();
        let ours = Outbound::new(&Tls { roots: Roots::File(path), ..Config::default().tls }).unwrap();
        let chain = [made.cert.der().clone()];
        let look = |name: &str, at: Unix| Certificate::of(&ours, name, &chain, at).unwrap();
        let (now, names) = (clock::unix(), vec!["a.example".to_owned(), "b.example".to_owned()]);
        assert_eq!(look("a.example", now), Certificate { names, doubt: None });
        let doubt = |name: &str, at: Unix| look(name, at).doubt.unwrap();
        assert_eq!(doubt("c.example", now), "its certificate is for another name");
        assert_eq!(doubt("a.example", Unix(100_000_000_000)), "its certificate has expired");
        let mut other = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap();
        other.distinguished_name.push(rcgen::DnType::CommonName, "a stranger");
        let other = other.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let stranger = Certificate::of(&ours, "a.example", &[other.der().clone()], now).unwrap();
        assert_eq!(stranger.doubt.as_deref(), Some("its certificate is signed by nobody we trust"));
        assert_eq!(Certificate::of(&ours, "a.example", &[], now), None);
    }
}
