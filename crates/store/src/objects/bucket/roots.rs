//! Whose certificates are trusted: the system's authorities, where an operator adds the one of a private server.

use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;

/// With the authorities that browsers know where the system has none, as in small containers.
pub(super) fn tls_config() -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    let (n_added, _) = roots.add_parsable_certificates(system.certs);
    if n_added == 0 {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
