//! The way to a farm: its address, how its certificate is trusted, and the key that is shown with
//! every call. Knows no method of the API.

use rustls::pki_types::{CertificateDer, ServerName};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Uri};

/// Longest wait for a connection.
pub const CONNECT_MS_MAX: u64 = 10_000;
/// Largest message accepted from a farm: leases and challenges come in batches.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// How a farm's certificate is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// By the system's certificate authorities.
    #[default]
    System,
    /// By this PEM file.
    Authority(PathBuf),
    /// It must be the one certificate with this SHA-256 fingerprint.
    Pinned([u8; 32]),
}

/// Where a farm is and who we are there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// `https://farm.example:7447` or, on a loopback address, `http://127.0.0.1:7447`.
    pub server: String,
    /// The API key; absent for the calls that need none.
    pub key: Option<String>,
    pub trust: Trust,
}

/// Why a farm could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    #[error("`{0}` is no address of a farm; write it like https://farm.example:7447")]
    Address(String),
    #[error(
        "the API key has characters that no key has; copy it again from `girih account create`"
    )]
    Key,
    #[error("{file}: {source}; name a PEM file with --ca", file = file.display())]
    Authority { file: PathBuf, source: std::io::Error },
    #[error("{server}: {why}; is the scheduler running, and does a firewall allow the port?")]
    Unreachable { server: String, why: String },
    #[error(
        "{server}: {why}; if the farm made its certificate itself, give the fingerprint that its \
         scheduler printed when it started: --pin, or GIRIH_PIN"
    )]
    Untrusted { server: String, why: String },
    #[error(
        "{server} shows a certificate with the fingerprint {found}, not the pinned one; ask the \
         farm's operator, and do not send your key before you know why"
    )]
    Fingerprint { server: String, found: String },
}

/// Puts the API key on every call.
#[derive(Clone)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut call: tonic::Request<()>) -> Result<tonic::Request<()>, tonic::Status> {
        if let Some(key) = &self.0 {
            call.metadata_mut().insert("authorization", key.clone());
        }
        Ok(call)
    }
}

/// A channel that carries the key.
pub type Keyed = InterceptedService<Channel, Bearer>;

impl Address {
    /// Connects. TLS for `https`; nothing else leaves a loopback address.
    pub async fn connect(&self) -> Result<Keyed, ChannelError> {
        let uri = self.uri()?;
        let wait = Duration::from_millis(CONNECT_MS_MAX);
        let mut endpoint = Endpoint::from(uri.clone())
            .connect_timeout(wait)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(Duration::from_secs(15))
            .keep_alive_timeout(Duration::from_secs(10))
            .keep_alive_while_idle(true)
            .http2_adaptive_window(true);
        if uri.scheme_str() == Some("https") {
            let tls = self.tls(&uri).await?;
            endpoint = endpoint.tls_config(tls).map_err(|error| self.unreachable(&error))?;
        }
        let channel = endpoint.connect().await.map_err(|error| self.unreachable(&error))?;
        let bearer = match &self.key {
            None => None,
            Some(key) => Some(format!("Bearer {key}").parse().map_err(|_| ChannelError::Key)?),
        };
        Ok(InterceptedService::new(channel, Bearer(bearer)))
    }

    /// The address as a URI; refuses plain HTTP to other machines.
    pub fn uri(&self) -> Result<Uri, ChannelError> {
        let wrong = || ChannelError::Address(self.server.clone());
        let text = match self.server.contains("://") {
            true => self.server.clone(),
            false if is_loopback(host_of(&self.server)) => format!("http://{}", self.server),
            false => format!("https://{}", self.server),
        };
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let host = uri.host().ok_or_else(wrong)?;
        match uri.scheme_str() {
            Some("https") => Ok(uri),
            Some("http") if is_loopback(host) => Ok(uri),
            Some("http") => Err(ChannelError::Address(format!(
                "{} (plain http is for this machine only; use https)",
                self.server
            ))),
            _ => Err(wrong()),
        }
    }

    async fn tls(&self, uri: &Uri) -> Result<ClientTlsConfig, ChannelError> {
        install_provider();
        let tls = ClientTlsConfig::new();
        match &self.trust {
            Trust::System => Ok(tls.with_native_roots()),
            Trust::Authority(file) => {
                let pem = std::fs::read(file)
                    .map_err(|source| ChannelError::Authority { file: file.clone(), source })?;
                Ok(tls.ca_certificate(Certificate::from_pem(pem)))
            }
            Trust::Pinned(wanted) => {
                let address = self.clone();
                let (host, port) =
                    (uri.host().unwrap_or_default().to_owned(), uri.port_u16().unwrap_or(443));
                let shown = tokio::task::spawn_blocking(move || shown_certificate(&host, port))
                    .await
                    .map_err(|error| self.unreachable(&error))?
                    .map_err(|error| address.unreachable(&error))?;
                let found = fingerprint(&shown);
                if found != *wanted {
                    let server = self.server.clone();
                    return Err(ChannelError::Fingerprint { server, found: hex(&found) });
                }
                let tls = tls.ca_certificate(Certificate::from_pem(pem_of(&shown)));
                // The fingerprint says who that is, by whatever name the address has.
                Ok(match name_of(&shown) {
                    Some(name) => tls.domain_name(name),
                    None => tls,
                })
            }
        }
    }

    fn unreachable(&self, error: &(dyn std::error::Error + 'static)) -> ChannelError {
        let mut why = error.to_string();
        let mut untrusted = is_certificate(error);
        let mut source = error.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !why.contains(&cause_text) {
                why = format!("{why}: {cause_text}");
            }
            untrusted |= is_certificate(cause);
            source = cause.source();
        }
        let server = self.server.clone();
        match untrusted {
            true => ChannelError::Untrusted { server, why },
            false => ChannelError::Unreachable { server, why },
        }
    }
}

/// Whether this is a certificate that is not believed, by itself or in an I/O error.
fn is_certificate(error: &(dyn std::error::Error + 'static)) -> bool {
    let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    let error = inner.map_or(error, |inner| inner);
    let error = error.downcast_ref::<rustls::Error>();
    matches!(error, Some(rustls::Error::InvalidCertificate(_)))
}

/// Chooses the one cryptography provider of this program; may be called often.
pub fn install_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
}

/// Whether the host is this machine.
pub fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn host_of(server: &str) -> &str {
    server.rsplit_once(':').map_or(server, |(host, _)| host)
}

/// SHA-256 of a certificate's DER bytes.
pub fn fingerprint(certificate: &CertificateDer<'_>) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(certificate).into()
}

/// Reads a fingerprint: 64 hexadecimal digits, colons allowed.
pub fn parse_fingerprint(text: &str) -> Option<[u8; 32]> {
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    farm::digest::Digest::parse(&digits.to_lowercase()).map(|digest| digest.0)
}

fn hex(bytes: &[u8; 32]) -> String {
    farm::digest::Digest(*bytes).to_string()
}

fn pem_of(certificate: &CertificateDer<'_>) -> String {
    use base64::Engine;
    let body = base64::engine::general_purpose::STANDARD.encode(certificate);
    format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
}

/// A name that a certificate is made out to, if it has one that is no IP address and no pattern.
fn name_of(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
    certificate.valid_dns_names().find(|name| !name.contains('*')).map(str::to_owned)
}

/// The certificate that a server shows, believed by nobody yet: nothing is sent to it.
fn shown_certificate(host: &str, port: u16) -> std::io::Result<CertificateDer<'static>> {
    use std::net::ToSocketAddrs;
    let wait = Duration::from_millis(CONNECT_MS_MAX);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address =
        (bare, port).to_socket_addrs()?.next().ok_or(std::io::ErrorKind::AddrNotAvailable)?;
    let mut socket = std::net::TcpStream::connect_timeout(&address, wait)?;
    socket.set_read_timeout(Some(wait))?;
    socket.set_write_timeout(Some(wait))?;
    let name = ServerName::try_from(bare.to_owned()).map_err(std::io::Error::other)?;
    let mut config = rustls::ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(onlooker::Onlooker::default()))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut session =
        rustls::ClientConnection::new(Arc::new(config), name).map_err(std::io::Error::other)?;
    while session.is_handshaking() {
        session.complete_io(&mut socket)?;
    }
    let chain = session.peer_certificates().unwrap_or_default();
    chain
        .first()
        .map(|leaf| leaf.clone().into_owned())
        .ok_or_else(|| std::io::Error::other("the server showed no certificate"))
}

mod onlooker {
    //! Looks at a certificate without judging it; the fingerprint is the judge.

    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::crypto::CryptoProvider;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{DigitallySignedStruct, Error, SignatureScheme};

    #[derive(Debug)]
    pub struct Onlooker(CryptoProvider);

    impl Default for Onlooker {
        fn default() -> Self {
            Self(rustls::crypto::aws_lc_rs::default_provider())
        }
    }

    impl ServerCertVerifier for Onlooker {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let algorithms = &self.0.signature_verification_algorithms;
            rustls::crypto::verify_tls12_signature(message, cert, signed, algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let algorithms = &self.0.signature_verification_algorithms;
            rustls::crypto::verify_tls13_signature(message, cert, signed, algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.signature_verification_algorithms.supported_schemes()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(server: &str) -> Result<String, ChannelError> {
        let address = Address { server: server.into(), ..Address::default() };
        address.uri().map(|uri| uri.to_string())
    }

    #[test]
    fn plain_http_stays_on_this_machine() {
        assert_eq!(uri("127.0.0.1:7").unwrap(), "http://127.0.0.1:7/");
        assert_eq!(uri("http://localhost:7").unwrap(), "http://localhost:7/");
        assert_eq!(uri("farm.example:7").unwrap(), "https://farm.example:7/");
        assert!(uri("http://farm.example:7").unwrap_err().to_string().contains("use https"));
        assert!(uri("ftp://farm.example").is_err());
        assert!(uri("").is_err());
    }

    #[test]
    fn a_fingerprint_may_have_colons() {
        let plain = "ab".repeat(32);
        let colons = vec!["AB"; 32].join(":");
        assert_eq!(parse_fingerprint(&plain), Some([0xab; 32]));
        assert_eq!(parse_fingerprint(&colons), Some([0xab; 32]));
        assert_eq!(parse_fingerprint("ab"), None);
    }
}
