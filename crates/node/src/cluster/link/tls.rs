//! Certificates of the link: mutual TLS 1.3 between nodes that one authority has signed.
//!
//! The provider of the cryptography is given explicitly: `ractor_cluster` switches a second one on in the same build,
//! and a default of the process would be ambiguous. A name is checked after the handshake, against what the peer says
//! it is, in the same way on both sides: a seed is dialled before its name is known. Sessions are not resumed, since
//! that would skip looking at a certificate that has expired meanwhile.

use super::error::LinkError;
use argiope_protocol::NodeName;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    AlertDescription, ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig, SignatureScheme,
};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What a node needs to speak TLS with the others. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct TlsMaterial {
    pub(super) server: Arc<ServerConfig>,
    pub(super) client: Arc<ClientConfig>,
    chain: Arc<Vec<CertificateDer<'static>>>,
    roots: Arc<RootCertStore>,
    fingerprint: String,
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn refused(what: impl std::fmt::Display) -> LinkError {
    LinkError::Certificate(what.to_string())
}

impl TlsMaterial {
    /// Reads the three PEM files and checks that they belong together and are in force now.
    ///
    /// # Errors
    /// When a file cannot be read, or the certificate is not signed by the authority, is not in force, or has another
    /// key.
    pub(crate) fn load(ca_file: &Path, cert_file: &Path, key_file: &Path) -> Result<Self, LinkError> {
        let read = |path: &Path| {
            std::fs::read(path)
                .map_err(|error| LinkError::File { path: path.display().to_string(), source: Box::new(error) })
        };
        let material = Self::from_pem(&read(ca_file)?, &read(cert_file)?, &read(key_file)?)?;
        material.check()?;
        Ok(material)
    }

    /// The same from memory, without looking at signature and dates.
    ///
    /// # Errors
    /// When a text holds no certificate or key, or the key is not the certificate's.
    pub(crate) fn from_pem(ca: &[u8], certificate: &[u8], key: &[u8]) -> Result<Self, LinkError> {
        let mut roots = RootCertStore::empty();
        for authority in certificates(ca, "the authority's file")? {
            roots.add(authority).map_err(refused)?;
        }
        let chain = certificates(certificate, "the certificate's file")?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| refused(format!("no private key: {error}")))?;
        let roots = Arc::new(roots);
        Ok(Self {
            server: Arc::new(server(&roots, &chain, key.clone_key())?),
            client: Arc::new(client(&roots, &chain, key)?),
            fingerprint: chain.first().map(|certificate| fingerprint(certificate)).unwrap_or_default(),
            chain: Arc::new(chain),
            roots,
        })
    }

    /// Whether the authority has signed the certificate and it is in force.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn check(&self) -> Result<(), LinkError> {
        let (certificate, intermediates) = self.chain.split_first().ok_or_else(|| refused("there is none"))?;
        let parsed = ParsedCertificate::try_from(certificate).map_err(refused)?;
        let now = Duration::from_millis(argiope_actors::support::now().as_millis());
        let now = UnixTime::since_unix_epoch(now);
        let algorithms = provider().signature_verification_algorithms;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, algorithms.all)
            .map_err(refused)
    }

    /// Whether the certificate is this node's.
    pub(super) fn is_for(&self, name: &NodeName) -> bool {
        self.chain.first().is_some_and(|certificate| is_for(certificate, name))
    }

    /// SHA-256 of the certificate in hexadecimal.
    pub(crate) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, LinkError> {
    let list: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let list = list.map_err(|error| refused(format!("{what} cannot be read: {error}")))?;
    if list.is_empty() { Err(refused(format!("{what} holds none"))) } else { Ok(list) }
}

fn server(
    roots: &Arc<RootCertStore>,
    chain: &[CertificateDer<'static>],
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, LinkError> {
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), provider()).build().map_err(refused)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(refused)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain.to_vec(), key)
        .map_err(refused)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn client(
    roots: &Arc<RootCertStore>,
    chain: &[CertificateDer<'static>],
    key: PrivateKeyDer<'static>,
) -> Result<ClientConfig, LinkError> {
    let provider = provider();
    let algorithms = provider.signature_verification_algorithms;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(refused)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(SignedByAuthority { roots: Arc::clone(roots), algorithms }))
        .with_client_auth_cert(chain.to_vec(), key)
        .map_err(refused)?;
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Ok(config)
}

/// Checks everything of a server's certificate but its name, which [`is_for`] compares with the hello.
#[derive(Debug)]
struct SignedByAuthority {
    roots: Arc<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for SignedByAuthority {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(certificate)?;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, self.algorithms.all)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Whether a certificate names this node.
pub(super) fn is_for(certificate: &CertificateDer<'_>, name: &NodeName) -> bool {
    let Ok(name) = ServerName::try_from(name.as_str()) else { return false };
    ParsedCertificate::try_from(certificate).is_ok_and(|parsed| verify_server_name(&parsed, &name).is_ok())
}

fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let suite = rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let hash = suite.tls13().map(|suite| suite.common.hash_provider.hash(certificate));
    hash.iter().flat_map(|hash| hash.as_ref()).map(|byte| format!("{byte:02x}")).collect()
}

/// What is wrong with a certificate, when that is why a stream failed: ours in the peer's eyes or the peer's in ours.
pub(super) fn certificate_problem(error: &std::io::Error) -> Option<String> {
    match error.get_ref()?.downcast_ref::<Error>()? {
        Error::InvalidCertificate(problem) => Some(format!("the peer's certificate is not accepted: {problem}")),
        Error::NoCertificatesPresented => Some("the peer shows no certificate".to_owned()),
        Error::AlertReceived(
            alert @ (AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRequired
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError),
        ) => Some(format!("the peer does not accept our certificate: {alert:?}")),
        _ => None,
    }
}
