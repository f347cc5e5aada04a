//! The rules of the house, from which those for one client are taken when it comes.

use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::config::Config;
use crate::credentials::{Certificates, Gate, Kept, UsersFile};
use crate::server::Policy;

/// Everything that a client is served by.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The settings in force.
    pub settings: Arc<RwLock<Arc<Config>>>,
    /// What we show in TLS.
    pub certificates: Arc<Kept<Certificates>>,
    /// Who may authenticate.
    pub gate: Arc<Gate>,
}

impl Rules {
    /// Rules with the certificates and the users of the settings.
    ///
    /// # Errors
    /// Which file is wrong, and why.
    pub fn of(settings: Arc<RwLock<Arc<Config>>>) -> Result<Rules, String> {
        let (certificates, users) = sources(&settings.read());
        let (certificates, gate) = (Arc::new(Kept::open(certificates)?), Arc::new(Gate::open(users)?));
        Ok(Rules { settings, certificates, gate })
    }

    /// The settings have been read again: so are the files they name.
    pub fn reload(&self) {
        let (certificates, users) = sources(&self.settings.read());
        self.certificates.change(certificates);
        self.gate.source().change(users);
    }

    /// Reads what has changed on disk.
    pub fn refresh(&self) {
        self.certificates.refresh();
        self.gate.source().refresh();
    }

    /// The rules for a client at `client`, at a door where TLS comes first or not.
    pub(super) fn policy(&self, client: IpAddr, tls_first: bool) -> Policy {
        let tls = self.certificates.get().as_ref().clone();
        let gate = self.gate.users().is_some().then(|| Arc::clone(&self.gate));
        Policy { tls, tls_first, gate, ..Policy::of(&self.settings.read(), client) }
    }
}

fn sources(config: &Config) -> (Certificates, UsersFile) {
    (Certificates(config.listen.certificates.clone()), UsersFile(config.auth.users.clone()))
}
