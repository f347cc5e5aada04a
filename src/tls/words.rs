//! What went wrong in a handshake, in the words of an operator, to stand after a host's name.

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

/// The words for an error of TLS.
pub fn words(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(why) => certificate(why),
        Error::AlertReceived(AlertDescription::ProtocolVersion)
        | Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => "it speaks neither TLS 1.2 nor TLS 1.3".to_owned(),
        Error::AlertReceived(alert) => format!("it broke off with the alert {alert:?}"),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => "what it said is no TLS".to_owned(),
        Error::PeerIncompatible(what) => format!("it has nothing in common with us: {what:?}"),
        Error::NoCertificatesPresented => "it has no certificate".to_owned(),
        other => other.to_string(),
    }
}

fn certificate(why: &CertificateError) -> String {
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another name".to_owned()
        }
        CertificateError::UnknownIssuer => "its certificate is signed by nobody we trust".to_owned(),
        CertificateError::Revoked => "its certificate has been revoked".to_owned(),
        other => format!("its certificate is not valid: {other}"),
    }
}
