//! Attributes of the viewer's span: OpenTelemetry's HTTP conventions, and `aws.cloudfront.*` for what they lack.

use std::borrow::Cow;

use rootspan_model::conventions::{cloudfront, error, http};

use super::{ClientAddress, Privacy, Settings, privacy};
use crate::cloudfront::record::percent_decoded;
use crate::cloudfront::{Field, Record};
use crate::otlp::field::span::ATTRIBUTES;
use crate::otlp::write::{Value, put_attribute};

/// The methods of RFC 9110, PATCH and QUERY: others are `_OTHER`, as the conventions want.
const METHODS: [&str; 10] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"];

pub(super) fn put_attributes(out: &mut Vec<u8>, record: &Record<'_>, settings: &Settings, context: &str) {
    put_request(out, record, &settings.privacy);
    put_connection(out, record, &settings.privacy);
    put_text(out, cloudfront::CONTEXT, Some(context));
    put_text(out, cloudfront::LOG, Some(record.log().name()));
    put_text(out, cloudfront::REQUEST_ID, record.get(Field::RequestId));
    put_text(out, cloudfront::DISTRIBUTION_ID, record.get(Field::DistributionId));
    put_text(out, cloudfront::DISTRIBUTION_DOMAIN, record.get(Field::DistributionDomain));
    put_text(out, cloudfront::EDGE_LOCATION, record.get(Field::EdgeLocation));
    put_text(out, cloudfront::RESULT_TYPE, record.get(Field::ResultType));
    put_text(out, cloudfront::RESPONSE_RESULT_TYPE, record.get(Field::ResponseResultType));
    put_text(out, cloudfront::DETAILED_RESULT_TYPE, record.get(Field::DetailedResultType));
    put_text(out, cloudfront::CACHE_BEHAVIOR, record.get(Field::CacheBehavior));
    put_text(out, http::GEO_COUNTRY_ISO_CODE, record.get(Field::Country));
    put_number(out, cloudfront::ASN, record.number::<i64>(Field::Asn));
    put_seconds(out, cloudfront::TIME_TO_FIRST_BYTE, record, Field::TimeToFirstByte);
    put_seconds(out, cloudfront::ORIGIN_FIRST_BYTE_LATENCY, record, Field::OriginFirstByteLatency);
    put_seconds(out, cloudfront::ORIGIN_LAST_BYTE_LATENCY, record, Field::OriginLastByteLatency);
    put_seconds(out, cloudfront::TIME_TAKEN, record, Field::TimeTaken);
}

fn put_request(out: &mut Vec<u8>, record: &Record<'_>, kept: &Privacy) {
    if let Some(original) = record.get(Field::Method) {
        let known = known_method(record);
        put_text(out, http::REQUEST_METHOD, Some(known.unwrap_or("_OTHER")));
        if known.is_none() {
            put_text(out, http::REQUEST_METHOD_ORIGINAL, Some(original));
        }
    }
    put_text(out, http::URL_SCHEME, record.get(Field::Protocol));
    put_text(out, http::URL_PATH, path(record).map(|path| privacy::path(path, &kept.query_values)).as_deref());
    let query = query(record).map(|query| privacy::query(query, &kept.query_values));
    put_text(out, http::URL_QUERY, query.as_deref());
    put_number(out, http::RESPONSE_STATUS_CODE, status(record).map(i64::from));
    put_text(out, error::TYPE, error_type(record).as_deref());
    if let Some(host) = record.get(Field::ViewerHost) {
        let (address, port) = split_port(host);
        put_text(out, http::SERVER_ADDRESS, Some(address));
        put_number(out, http::SERVER_PORT, port.map(i64::from));
    }
    // User agents and referrers are encoded in every format, whatever is done to the other values.
    let user_agent = record.get(Field::UserAgent).map(|text| percent_decoded(text.into()));
    put_text(out, http::USER_AGENT_ORIGINAL, user_agent.as_deref());
    if let Some(referrer) = record.get(Field::Referrer) {
        put_header(out, http::REQUEST_HEADER_REFERER, &privacy::referrer(referrer, &kept.query_values));
    }
    if let Some(content_type) = record.get(Field::ContentType) {
        put_header(out, http::RESPONSE_HEADER_CONTENT_TYPE, &percent_decoded(content_type.into()));
    }
    put_number(out, http::REQUEST_SIZE, record.number::<i64>(Field::RequestBytes));
    put_number(out, http::RESPONSE_SIZE, record.number::<i64>(Field::ResponseBytes));
}

fn put_connection(out: &mut Vec<u8>, record: &Record<'_>, kept: &Privacy) {
    let peer = record.get(Field::ClientAddress);
    let forwarded = record.get(Field::ForwardedFor).filter(|_| kept.trust_forwarded_for);
    let client = forwarded.and_then(|list| list.split(',').next()).map(str::trim).or(peer);
    let client = client.and_then(|address| privacy::address(address, kept.client_address));
    put_text(out, http::CLIENT_ADDRESS, client.as_deref());
    if forwarded.is_some() {
        let peer = peer.and_then(|address| privacy::address(address, kept.client_address));
        put_text(out, http::NETWORK_PEER_ADDRESS, peer.as_deref());
    } else if kept.client_address == ClientAddress::Full {
        put_number(out, http::CLIENT_PORT, record.number::<i64>(Field::ClientPort));
    }
    if let Some(version) = record.get(Field::ProtocolVersion).and_then(|version| version.strip_prefix("HTTP/")) {
        // The conventions write `2` and `3`, the logs `2.0` and `3.0`; `1.0` is `1.0` in both.
        let version = match version {
            "2.0" => "2",
            "3.0" => "3",
            other => other,
        };
        put_text(out, http::NETWORK_PROTOCOL_VERSION, Some(version));
    }
    if let Some(protocol) = record.get(Field::TlsProtocol) {
        if let Some(version) = protocol.strip_prefix("TLSv") {
            // The only one there is needs no memory.
            put_text(out, http::TLS_PROTOCOL_NAME, Some("tls"));
            put_text(out, http::TLS_PROTOCOL_VERSION, Some(version));
        } else if let Some((name, version)) = protocol.split_once('v') {
            put_text(out, http::TLS_PROTOCOL_NAME, Some(&name.to_ascii_lowercase()));
            put_text(out, http::TLS_PROTOCOL_VERSION, Some(version));
        }
    }
    put_text(out, http::TLS_CIPHER, record.get(Field::TlsCipher));
}

// With the keys known the compiler copies them in a few instructions, which is a third of the work.
#[inline(always)]
fn put_text(out: &mut Vec<u8>, key: &'static str, value: Option<&str>) {
    if let Some(value) = value {
        put_attribute(out, ATTRIBUTES, key, value);
    }
}

fn put_seconds(out: &mut Vec<u8>, key: &'static str, record: &Record<'_>, field: Field) {
    let value = record.number::<f64>(field).filter(|value| value.is_finite() && *value >= 0.0);
    if let Some(value) = value {
        put_attribute(out, ATTRIBUTES, key, value);
    }
}

fn put_number(out: &mut Vec<u8>, key: &'static str, value: Option<i64>) {
    if let Some(value) = value {
        put_attribute(out, ATTRIBUTES, key, value);
    }
}

/// Captured headers are lists of strings.
fn put_header(out: &mut Vec<u8>, key: &'static str, value: &str) {
    put_attribute(out, ATTRIBUTES, key, Value::Strings(&[value]));
}

// === what the fields mean ===

/// The method, if it is one of the known ones.
pub(super) fn known_method(record: &Record<'_>) -> Option<&'static str> {
    let method = record.get(Field::Method)?;
    METHODS.into_iter().find(|known| *known == method)
}

/// The path without the query that real-time logs add to it.
pub(super) fn path<'r>(record: &'r Record<'_>) -> Option<&'r str> {
    let stem = record.get(Field::UriStem)?;
    stem.get(..memchr::memchr(b'?', stem.as_bytes()).unwrap_or(stem.len()))
}

fn query<'r>(record: &'r Record<'_>) -> Option<&'r str> {
    record.get(Field::UriQuery).or_else(|| Some(record.get(Field::UriStem)?.split_once('?')?.1))
}

/// The status that was sent, if one was: `000` is none.
fn status(record: &Record<'_>) -> Option<u16> {
    record.number::<u16>(Field::Status).filter(|status| (100..600).contains(status))
}

/// `error.type`, or `None` if the request did not fail.
///
/// A 5xx is the server's error and a 4xx is not. Anything else failed if nothing was sent, or if the transfer broke:
/// then the result after the last byte is an error although the response was none.
pub(super) fn error_type<'r>(record: &'r Record<'_>) -> Option<Cow<'r, str>> {
    match status(record) {
        Some(status) if status >= 500 => Some(status.to_string().into()),
        Some(status) if status >= 400 => None,
        Some(_) if record.get(Field::ResultType) != Some("Error") => None,
        None if record.get(Field::Status).is_none() && record.get(Field::ResultType) != Some("Error") => None,
        Some(_) | None => {
            let detail = record.get(Field::DetailedResultType).or_else(|| record.get(Field::ResultType));
            Some(detail.unwrap_or("_OTHER").into())
        }
    }
}

/// Host and port of a `Host` header; an IPv6 address keeps no brackets.
fn split_port(host: &str) -> (&str, Option<u16>) {
    let (address, port) = match host.rsplit_once(':') {
        Some((address, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            (address, port.parse().ok())
        }
        _ => (host, None),
    };
    (address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address), port)
}
