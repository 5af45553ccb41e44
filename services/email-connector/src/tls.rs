//! Whom we believe to be the mail server.

use crate::{config::MailboxConfig, error::ImapError};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use std::sync::Arc;

/// The public authorities, the system's, and the mailbox's own `ca_file`. Verification cannot be switched off.
pub(crate) fn client_config(mailbox: &MailboxConfig) -> Result<Arc<ClientConfig>, ImapError> {
    let problem = |problem: String| ImapError::Tls { server: mailbox.host.clone(), problem };
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    // A system without certificates, or with some that cannot be read, still has the public ones.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = &mailbox.ca_file {
        let certificates = CertificateDer::pem_file_iter(file)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| problem(format!("reading ca_file {}: {error}", file.display())))?;
        if roots.add_parsable_certificates(certificates).0 == 0 {
            return Err(problem(format!("ca_file {} holds no certificate", file.display())));
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| problem(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
