//! Whose word on a certificate is believed: the system's authorities, or those of a file.

use std::fmt;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Why the authorities of a file cannot be had.
#[derive(Debug)]
pub struct RootsError {
    path: PathBuf,
    words: String,
}

impl fmt::Display for RootsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tls.roots: {}: {}", self.path.display(), self.words)
    }
}

impl std::error::Error for RootsError {}

/// The authorities of a PEM file, at least one.
pub(super) fn of_file(path: &Path) -> Result<RootCertStore, RootsError> {
    let fault = |words: String| RootsError { path: path.to_owned(), words };
    // A FIFO without a writer would keep us waiting.
    if !std::fs::metadata(path).map_err(|error| fault(error.to_string()))?.is_file() {
        return Err(fault("it is no file".into()));
    }
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| fault(error.to_string()))? {
        let added = certificate.map_err(|error| fault(error.to_string()))?;
        roots.add(added).map_err(|error| fault(error.to_string()))?;
    }
    if roots.is_empty() { Err(fault("there is no certificate in it".into())) } else { Ok(roots) }
}

/// The authorities that the system trusts. A system without any, a bare container say, gets those that Mozilla trusts, as
/// they were when this program was built.
pub(super) fn of_system() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        log::warn!("the system's certificates: {error}");
    }
    let mut roots = RootCertStore::empty();
    let (taken, _) = roots.add_parsable_certificates(found.certs);
    if taken == 0 {
        log::warn!("the system trusts no certificate authority; those built in are used");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}
