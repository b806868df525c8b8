//! TLS: on by default for any address that is not loopback; a certificate from the configuration or
//! a self-signed one of this scheduler's own.

use crate::config::Config;
use anyhow::{Context, bail};
use farm::digest::Digest;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest as _, Sha256};
use std::path::Path;
use tonic::transport::{Identity, ServerTlsConfig};

/// Makes aws-lc-rs the process's provider; harmless when one is installed already.
pub fn install_provider() {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
}

/// What the listener speaks.
pub struct Tls {
    pub config: ServerTlsConfig,
    /// SHA-256 of the certificate's DER in hexadecimal where it is self-signed: what clients pin.
    pub fingerprint: Option<String>,
}

/// The TLS set-up that the configuration asks for; `None`: plaintext.
pub fn set_up(config: &Config) -> anyhow::Result<Option<Tls>> {
    install_provider();
    match (&config.tls_certificate, &config.tls_key) {
        (Some(certificate), Some(key)) => {
            let (certificate, key) = (read(certificate)?, read(key)?);
            let config = ServerTlsConfig::new().identity(Identity::from_pem(certificate, key));
            Ok(Some(Tls { config, fingerprint: None }))
        }
        (None, None) if config.listen.ip().is_loopback() || config.insecure_plaintext => Ok(None),
        (None, None) => own(config).map(Some),
        _ => bail!("tls_certificate and tls_key go together; give both or neither"),
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| path.display().to_string())
}

/// The scheduler's own certificate, founded once in the state directory.
fn own(config: &Config) -> anyhow::Result<Tls> {
    let (certificate, key) = (config.state.join("tls.pem"), config.state.join("tls.key"));
    if !certificate.exists() {
        let mut names = config.tls_names.clone();
        names.push(config.listen.ip().to_string());
        let made = rcgen::generate_simple_self_signed(names).context("self-signed certificate")?;
        crate::secret::write(&key, made.signing_key.serialize_pem())?;
        crate::secret::write(&certificate, made.cert.pem())?;
    }
    let (certificate, key) = (read(&certificate)?, read(&key)?);
    let der = CertificateDer::from_pem_slice(&certificate).context("the scheduler's tls.pem")?;
    let fingerprint = Digest(Sha256::digest(&der).into()).to_string();
    let config = ServerTlsConfig::new().identity(Identity::from_pem(certificate, key));
    Ok(Tls { config, fingerprint: Some(fingerprint) })
}
