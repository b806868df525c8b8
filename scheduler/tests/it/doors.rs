//! The other doors: TLS, health, reflection, metrics and the public log over HTTP.

use crate::house::{Bearer, House, PATIENCE, spec};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use farm::entry::{Entry, Fact};
use farm::log::{leaf_hash, root_of};
use proto::v1;
use rustls::pki_types::pem::PemObject;
use sha2::Digest as _;
use signed_note::{Note, StandardVerifier, VerifierList};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1 as reflection;

/// GETs a path over plain HTTP; gives status and body.
async fn get(house: &House, path: &str) -> (u16, Vec<u8>) {
    let mut socket = tokio::net::TcpStream::connect(house.running.address).await.unwrap();
    let ask = format!("GET {path} HTTP/1.1\r\nhost: farm\r\nconnection: close\r\n\r\n");
    socket.write_all(ask.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = socket.read_to_end(&mut answer);
    tokio::time::timeout(PATIENCE, read).await.expect("an answer comes").unwrap();
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let status = String::from_utf8_lossy(&answer[9..12]).parse().unwrap();
    (status, answer[head + 4..].to_vec())
}

#[tokio::test]
async fn an_address_that_is_not_loopback_speaks_tls_without_being_told() {
    let house = House::with(|config| config.listen = "0.0.0.0:0".parse().unwrap()).await;
    assert!(house.running.url.starts_with("https://"), "{}", house.running.url);
    let pem = std::fs::read(house.config.state.join("tls.pem")).unwrap();
    let der = rustls::pki_types::CertificateDer::from_pem_slice(&pem).unwrap();
    let fingerprint = farm::digest::Digest(sha2::Sha256::digest(&der).into()).to_string();
    assert_eq!(house.running.fingerprint.as_ref(), Some(&fingerprint));
    let port = house.running.address.port();
    let plain = Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap();
    if let Ok(channel) = plain.connect().await {
        let mut log = v1::log_client::LogClient::new(channel);
        let said = log.get_checkpoint(v1::GetCheckpointRequest {}).await;
        assert!(said.is_err(), "plaintext was answered: {said:?}");
    }
    let key = std::fs::read_to_string(house.config.state.join("operator.key")).unwrap();
    let tls =
        ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&pem)).domain_name("localhost");
    let secret = Endpoint::from_shared(format!("https://127.0.0.1:{port}")).unwrap();
    let channel = secret.tls_config(tls).unwrap().connect().await.unwrap();
    let bearer = Bearer::new(key.trim());
    let mut accounts =
        v1::accounts_client::AccountsClient::new(InterceptedService::new(channel, bearer));
    let own = accounts.get_account(v1::GetAccountRequest {}).await.unwrap().into_inner();
    assert_eq!(own.role(), v1::Role::Operator);
    let again = house.again().await;
    assert_eq!(again.running.fingerprint, Some(fingerprint), "the certificate stays");
}

#[tokio::test]
async fn health_and_reflection_answer() {
    let house = House::open().await;
    let endpoint = Endpoint::from_shared(house.running.url.clone()).unwrap();
    let channel = endpoint.connect().await.unwrap();
    let mut health = HealthClient::new(channel.clone());
    for service in ["", "girih.v1.Jobs", "girih.v1.Workers"] {
        let ask = HealthCheckRequest { service: service.into() };
        let answer = health.check(ask).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
    use reflection::server_reflection_request::MessageRequest;
    use reflection::server_reflection_response::MessageResponse;
    let ask = reflection::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client =
        reflection::server_reflection_client::ServerReflectionClient::new(channel.clone());
    let mut answers =
        client.server_reflection_info(tokio_stream::iter([ask])).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(list)) = answer else { panic!("{answer:?}") };
    let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
    for service in ["Accounts", "Assets", "Jobs", "Ledger", "Log", "Workers"] {
        assert!(names.contains(&format!("girih.v1.{service}").as_str()), "{names:?}");
    }
    assert!(names.contains(&"grpc.health.v1.Health"), "{names:?}");
}

#[tokio::test]
async fn metrics_and_the_page_answer_and_nothing_else_does() {
    let house = House::open().await;
    house.artist().await;
    let (status, body) = get(&house, "/metrics").await;
    let text = String::from_utf8(body).unwrap();
    assert_eq!(status, 200);
    for name in ["girih_commands_total", "girih_log_entries_total", "girih_journal_sync_seconds"] {
        assert!(text.contains(name), "{name} is not in\n{text}");
    }
    let (status, body) = get(&house, "/").await;
    assert!(status == 200 && body.starts_with(b"<!"), "{status}");
    for path in [
        "/tile/0/999",
        "/tile/../log.key",
        "/tile/..%2f..%2foperator.key",
        "/tile/entries/%2e%2e/%2e%2e/%2e%2e/operator.key",
        "/operator.key",
    ] {
        assert_eq!(get(&house, path).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn the_public_log_is_served_and_its_checkpoint_is_signed_over_its_entries() {
    let house = House::open().await;
    let artist = house.artist().await;
    let job = artist.order(1, spec(2)).await.unwrap().job_id;
    // The statement waits for the log to show all that was answered before.
    artist.ledger().list_transfers(v1::ListTransfersRequest::default()).await.unwrap();
    let (status, note) = get(&house, "/checkpoint").await;
    assert_eq!(status, 200);
    let endpoint = Endpoint::from_shared(house.running.url.clone()).unwrap();
    let mut log = v1::log_client::LogClient::new(endpoint.connect().await.unwrap());
    let said = log.get_checkpoint(v1::GetCheckpointRequest {}).await.unwrap().into_inner();
    assert_eq!(said.note.lines().next(), Some(house.config.origin.as_str()));

    let verifier = StandardVerifier::new(&house.running.verifier).unwrap();
    let note = Note::from_bytes(&note).unwrap();
    let (proven, _) = note.verify(&VerifierList::new(vec![Box::new(verifier)])).unwrap();
    assert_eq!(proven.len(), 1);
    let text = String::from_utf8(note.text().to_vec()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let size: usize = lines[1].parse().unwrap();
    assert!((5..256).contains(&size), "one bundle holds the log: {size}");

    let (status, bundle) = get(&house, &format!("/tile/entries/000.p/{size}")).await;
    assert_eq!(status, 200);
    let (mut rest, mut entries) = (&bundle[..], Vec::new());
    while let Some((length, after)) = rest.split_first_chunk() {
        let (entry, after) = after.split_at(usize::from(u16::from_be_bytes(*length)));
        entries.push(entry);
        rest = after;
    }
    let hashes: Vec<[u8; 32]> = entries.iter().map(|entry| leaf_hash(entry)).collect();
    assert_eq!(hashes.len(), size);
    assert_eq!(STANDARD.decode(lines[2]).unwrap(), root_of(&hashes));
    assert_eq!(get(&house, &format!("/tile/0/000.p/{size}")).await.1, hashes.as_flattened());
    let held = |entry: &&[u8]| match Entry::from_bytes(entry).unwrap().fact {
        Fact::Transfer { reason, .. } => {
            reason == farm::entry::Reason::Submit(farm::id::JobId(job as u32))
        }
        _ => false,
    };
    assert_eq!(entries.iter().filter(|entry| held(entry)).count(), 1, "the job's hold is there");
}
