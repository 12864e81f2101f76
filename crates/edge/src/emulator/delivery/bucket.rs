//! Log files in a bucket of S3, or of a server that speaks its API: `PutObject`, path-style, signed with Signature
//! Version 4 ("Authenticating Requests: Using the Authorization Header").

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use rootspan_model::time::{UnixNanos, Utc};

use super::Refusal;
use crate::emulator::clock::unix_millis;
use crate::emulator::digest::{hex, hmac_sha256, sha256};

/// An error's text is read this far.
const ANSWER_MAX_BYTES: usize = 16 * 1024;

/// Where files go.
#[derive(Clone, PartialEq, Eq)]
pub struct Bucket {
    /// `http://host:port` of the server.
    pub endpoint: String,
    /// The bucket's name.
    pub name: String,
    /// Put before every file's name, as it is: end it with a slash.
    pub prefix: String,
    /// The Region.
    pub region: String,
    /// The access key's id.
    pub access_key_id: String,
    /// The access key.
    pub secret_access_key: String,
}

impl std::fmt::Debug for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bucket").field("endpoint", &self.endpoint).field("name", &self.name).finish_non_exhaustive()
    }
}

impl Bucket {
    pub(crate) async fn put(
        &self,
        client: &Client<HttpConnector, Full<Bytes>>,
        name: &str,
        body: &Bytes,
    ) -> Result<(), Refusal> {
        let fatal = |error: &dyn std::fmt::Display| Refusal::Final(error.to_string());
        let path = format!("/{}/{}", escaped(&self.name), escaped(&format!("{}{name}", self.prefix)));
        let endpoint = self.endpoint.trim_end_matches('/');
        let uri: Uri = format!("{endpoint}{path}").parse().map_err(|error| fatal(&error))?;
        let host = uri.authority().map(ToString::to_string).unwrap_or_default();
        let (date, digest) = (amz_date(unix_millis()), hex(&sha256(body)));
        let signed = [("host", host.as_str()), ("x-amz-content-sha256", &digest), ("x-amz-date", &date)];
        let authorization = self.authorization("PUT", &path, &signed, &date, &digest);
        let request = Request::put(uri)
            .header("host", &host)
            .header("x-amz-content-sha256", &digest)
            .header("x-amz-date", &date)
            .header("authorization", authorization)
            .body(Full::new(body.clone()))
            .map_err(|error| fatal(&error))?;
        let response = client.request(request).await.map_err(|error| Refusal::Retryable(error.to_string()))?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let text = Limited::new(response.into_body(), ANSWER_MAX_BYTES).collect().await;
        let text = text.map(|text| String::from_utf8_lossy(&text.to_bytes()).into_owned()).unwrap_or_default();
        let problem = format!("the bucket answered {status}: {text}");
        Err(if status.is_server_error() { Refusal::Retryable(problem) } else { Refusal::Final(problem) })
    }

    /// The signature's header. The signed headers are in the order of their names, the path is escaped.
    fn authorization(&self, method: &str, path: &str, signed: &[(&str, &str)], date: &str, digest: &str) -> String {
        let headers: String = signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let names = signed.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let request = format!("{method}\n{path}\n\n{headers}\n{names}\n{digest}");
        let day = date.get(..8).unwrap_or_default();
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&sha256(request.as_bytes())));
        let secret = format!("AWS4{}", self.secret_access_key);
        let parts = [day, &self.region, "s3", "aws4_request"];
        let key = parts.iter().fold(secret.into_bytes(), |key, part| hmac_sha256(&key, part.as_bytes()));
        let signature = hex(&hmac_sha256(&key, text.as_bytes()));
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.access_key_id
        )
    }
}

/// `20130524T000000Z`
fn amz_date(unix_millis: u64) -> String {
    let Utc { year, month, day, hour, minute, second, .. } = UnixNanos(unix_millis.saturating_mul(1_000_000)).utc();
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// A path as it is signed: everything but unreserved characters and slashes is escaped.
fn escaped(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
