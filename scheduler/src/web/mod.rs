//! What a browser or an auditor asks for over HTTP: the page, the log's files, the metrics.

use crate::publish::Newest;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use std::path::PathBuf;

/// What the pages are made from.
#[derive(Clone, Debug)]
struct Site {
    log: PathBuf,
    /// Verifier key of the log.
    verifier: String,
    newest: Newest,
}

/// Adds the pages to the gRPC services.
pub fn add(router: Router, log: PathBuf, verifier: String, newest: Newest) -> Router {
    let pages = Router::new()
        .route("/", get(async || Html(include_str!("index.html"))))
        .route("/metrics", get(metrics))
        .route("/checkpoint", get(checkpoint))
        .route("/tile/{*path}", get(tile))
        .route("/vkey", get(vkey))
        .with_state(Site { log, verifier, newest });
    router.merge(pages).fallback(nothing)
}

/// No such method for gRPC, no such page for anybody else.
async fn nothing(headers: HeaderMap) -> Response {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    match kind.starts_with(b"application/grpc") {
        true => tonic::Status::unimplemented("there is no such method").into_http(),
        false => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn metrics() -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    (kind, crate::metrics::render()).into_response()
}

async fn checkpoint(State(site): State<Site>) -> Response {
    let kind =
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    (kind, site.newest.get().1).into_response()
}

/// What an auditor who knows no key yet believes, and remembers.
async fn vkey(State(site): State<Site>) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (kind, format!("{}\n", site.verifier)).into_response()
}

/// A tile or bundle file. Only paths that such files can have are looked up.
async fn tile(State(site): State<Site>, Path(path): Path<String>) -> Response {
    let is_step = |step: &str| {
        let digits = step.strip_prefix('x').unwrap_or(step);
        let digits = digits.strip_suffix(".p").unwrap_or(digits);
        step == "entries" || !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
    };
    if path.len() > 100 || !path.split('/').all(is_step) {
        return StatusCode::NOT_FOUND.into_response();
    }
    match tokio::fs::read(site.log.join("tile").join(&path)).await {
        Ok(bytes) => {
            let kind = [
                (header::CONTENT_TYPE, "application/octet-stream"),
                (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
            ];
            (kind, bytes).into_response()
        }
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}
