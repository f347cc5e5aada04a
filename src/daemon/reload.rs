//! SIGHUP: the settings are read again, or the old ones stay and the log says why.

use std::sync::Arc;

use super::start::{Daemon, caps, own, terms};
use crate::config::Config;
use crate::dns::{self, Resolver};
use crate::sasl::Credentials;
use crate::tls::Outbound;

impl Daemon {
    pub(super) fn reload(&self) {
        let Some(file) = &self.file else {
            return log::warn!("SIGHUP: there is no config file to read; nothing has changed");
        };
        match Config::load(file) {
            Ok(config) => self.take(config),
            Err(error) => {
                log::error!("SIGHUP: the old settings stay, since the new ones are wrong:\n{error}")
            }
        }
    }

    /// The files that settings name are read first: with one that is wrong, nothing changes.
    fn take(&self, config: Config) {
        let tls = Outbound::new(&config.tls).map_err(|error| error.to_string());
        let credentials = Credentials::load(config.delivery.credentials.as_deref());
        match (tls, credentials.map_err(|error| error.to_string())) {
            (Ok(tls), Ok(credentials)) => {
                *self.shop.tls.write() = Arc::new(tls);
                *self.shop.credentials.write() = Arc::new(credentials);
                self.apply(config);
            }
            (Err(error), _) | (_, Err(error)) => log::error!("SIGHUP: the old settings stay: {error}"),
        }
    }

    fn apply(&self, mut config: Config) {
        let old = Arc::clone(&self.config.read());
        for key in old.changes_that_need_a_restart(&config) {
            log::warn!("SIGHUP: {key} has changed; that takes effect at the next start");
        }
        config.spool.path.clone_from(&old.spool.path);
        config.spool.memory = old.spool.memory;
        config.listen.smtp = old.listen.smtp.clone();
        config.listen.smtps = old.listen.smtps.clone();
        config.listen.clients = old.listen.clients;
        config.metrics = old.metrics.clone();
        config.log = old.log.clone();
        config.delivery.workers = old.delivery.workers;
        self.ledger.set_caps(caps(&config));
        self.scheduler.set_terms(terms(&config));
        if config.dns != old.dns {
            let resolver = Resolver::new(dns::servers(&config.dns), &config.dns);
            *self.shop.resolver.write() = Arc::new(resolver);
        }
        *self.shop.own.write() = Arc::new(own(&config, &self.began.listening, &self.began.listening_tls));
        *self.config.write() = Arc::new(config);
        self.rules.reload();
        // Routes, nameservers, ports: what rests may be deliverable now.
        self.shop.addresses.forget();
        self.scheduler.reconsider();
        log::info!("SIGHUP: the settings have been read again");
    }
}
