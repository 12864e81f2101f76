//! The user interface: what Vite built into `web/dist`, embedded by `build.rs`.
//!
//! `/assets/…` have a hash of their content in the name, so they are cached for ever; everything else is checked
//! each time by its entity tag. Paths that are no file are pages of the application, which reads the address itself.

use std::sync::OnceLock;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, VARY,
};
use http::{StatusCode, Uri};

use crate::compression::{accepts_gzip, gzip_asset};
use crate::error::ApiError;

/// One embedded file.
#[derive(Debug)]
struct Asset {
    /// Path below `web/dist`, with `/`.
    path: &'static str,
    bytes: &'static [u8],
    /// Of the content, quoted.
    etag: &'static str,
    /// Made at the first request for it; `None` inside if that is not shorter.
    gzip: OnceLock<Option<Vec<u8>>>,
}

impl Asset {
    const fn new(path: &'static str, bytes: &'static [u8], etag: &'static str) -> Self {
        Self { path, bytes, etag, gzip: OnceLock::new() }
    }
}

// `static ASSETS: [Asset; n]`, sorted by path.
include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// What a binary without the build serves. Plain, because the policy allows no inline style.
static HOW_TO_BUILD: Asset = Asset::new("not_embedded.html", include_bytes!("not_embedded.html"), "\"not-embedded\"");

/// First parts of paths that belong to APIs, present or to come: a page there would look like an answer.
const RESERVED: [&str; 4] = ["api", "jaeger", "tempo", "debug"];

/// Whether this binary contains the user interface.
pub(crate) fn is_embedded() -> bool {
    find(&ASSETS, "index.html").is_some()
}

/// Serves every path that no other route has.
pub(crate) fn router() -> Router {
    Router::new().route("/", get(page)).route("/{*path}", get(page))
}

async fn page(uri: Uri, headers: HeaderMap) -> Response {
    respond(&ASSETS, uri.path(), &headers)
}

fn respond(assets: &'static [Asset], path: &str, headers: &HeaderMap) -> Response {
    let path = path.trim_start_matches('/');
    let first = path.split('/').next().unwrap_or(path);
    if RESERVED.contains(&first) {
        return ApiError::not_found(format!("there is nothing at /{path}")).into_response();
    }
    if let Some(asset) = find(assets, path) {
        return file(asset, headers);
    }
    // A missing file must not look like a page: browsers would run it as a script or show it as a picture.
    let last = path.rsplit('/').next().unwrap_or(path);
    if first == "assets" || last.contains('.') {
        return ApiError::not_found(format!("there is no file /{path}"))
            .hint("reload the page: rootspan was probably updated")
            .into_response();
    }
    file(find(assets, "index.html").unwrap_or(&HOW_TO_BUILD), headers)
}

fn find(assets: &'static [Asset], path: &str) -> Option<&'static Asset> {
    let index = assets.binary_search_by(|asset| asset.path.cmp(path)).ok()?;
    assets.get(index)
}

fn file(asset: &'static Asset, headers: &HeaderMap) -> Response {
    let hashed = asset.path.starts_with("assets/");
    let caching = if hashed { "max-age=31536000, immutable" } else { "no-cache" };
    let known = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    // RFC 9110 section 13.1.2: weak comparison, a list of tags.
    let unchanged = known.is_some_and(|tags| {
        tags.split(',').any(|tag| tag.trim().trim_start_matches("W/") == asset.etag) || tags.trim() == "*"
    });
    let packed =
        if accepts_gzip(headers) { asset.gzip.get_or_init(|| gzip_asset(asset.bytes)).as_deref() } else { None };
    let mut response = match (unchanged, packed) {
        (true, _) => StatusCode::NOT_MODIFIED.into_response(),
        (false, Some(packed)) => packed.into_response(),
        (false, None) => asset.bytes.into_response(),
    };
    let out = response.headers_mut();
    out.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(asset.path)));
    out.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    out.insert(ETAG, HeaderValue::from_static(asset.etag));
    out.insert(VARY, HeaderValue::from_name(ACCEPT_ENCODING));
    if packed.is_some() && !unchanged {
        out.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// What Vite's output consists of; anything else is bytes.
fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests;
