//! Between HTTP and the events of Lambda@Edge ("Lambda@Edge event structure").

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, Uri};
use serde_json::{Map, Value, json};

use super::event::{ChangedRequest, ChangedResponse, GeneratedResponse, check_address, check_read_only};
use super::headers::{EventType, headers_bytes, is_disallowed};
use super::limits::{ORIGIN_GENERATED_MAX_BYTES, VIEWER_GENERATED_MAX_BYTES};

/// What the request part of an event is made of.
pub(crate) struct EdgeRequest<'a> {
    pub(crate) event: EventType,
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    /// Empty if the policies do not forward all of it.
    pub(crate) query: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) client_ip: &'a str,
    pub(crate) request_id: &'a str,
    pub(crate) distribution_id: &'a str,
    pub(crate) distribution_domain: &'a str,
    /// For origin events.
    pub(crate) origin: Option<&'a Uri>,
}

/// What a function wants.
#[derive(Debug, PartialEq)]
pub(crate) enum EdgeVerdict {
    /// The request goes on, to this origin if one was given.
    Forward(ChangedRequest, Option<Uri>),
    /// The function answers itself.
    Respond(GeneratedResponse),
}

/// The event; with a response for response events.
pub(crate) fn event(request: &EdgeRequest<'_>, response: Option<(StatusCode, &HeaderMap)>) -> Value {
    let mut cf = json!({
        "config": {
            "distributionDomainName": request.distribution_domain,
            "distributionId": request.distribution_id,
            "eventType": request.event.name(),
            "requestId": request.request_id,
        },
        "request": {
            "clientIp": request.client_ip,
            "headers": header_lists(request.headers),
            "method": request.method,
            "querystring": request.query,
            "uri": request.path,
        },
    });
    if let Some(origin) = request.origin {
        cf["request"]["origin"] = json!({"custom": {
            "customHeaders": {},
            "domainName": origin.host().unwrap_or_default(),
            "keepaliveTimeout": 5,
            "path": origin.path().trim_end_matches('/'),
            "port": origin.port_u16().unwrap_or(80),
            "protocol": "http",
            "readTimeout": 30,
            "sslProtocols": ["TLSv1.2"],
        }});
    }
    if let Some((status, headers)) = response {
        cf["response"] = json!({
            "headers": header_lists(headers),
            "status": status.as_str(),
            "statusDescription": status.canonical_reason().unwrap_or_default(),
        });
    }
    json!({"Records": [{"cf": cf}]})
}

fn header_lists(headers: &HeaderMap) -> Map<String, Value> {
    let mut lists = Map::new();
    for name in headers.keys().filter(|name| !is_disallowed(name.as_str())) {
        let values = headers
            .get_all(name)
            .iter()
            .map(|value| json!({"key": capitals(name.as_str()), "value": String::from_utf8_lossy(value.as_bytes())}));
        lists.insert(name.as_str().to_owned(), values.collect());
    }
    lists
}

/// `x-forwarded-for` as `X-Forwarded-For`: what a viewer wrote is lost on the way, and means nothing.
fn capitals(name: &str) -> String {
    let mut is_first = true;
    let capital = |character: char| {
        let written = if is_first { character.to_ascii_uppercase() } else { character };
        is_first = character == '-';
        written
    };
    name.chars().map(capital).collect()
}

/// Reads what a function of a request event returned.
///
/// # Errors
///
/// The rule that is broken: CloudFront's `LambdaValidationError`, a 502 for the viewer.
pub(crate) fn read_request(request: &EdgeRequest<'_>, event: &Value, returned: &Value) -> Result<EdgeVerdict, String> {
    let Value::Object(object) = returned else { return Err("it returned neither request nor response".into()) };
    if object.contains_key("status") {
        return generated(request.event, object).map(EdgeVerdict::Respond);
    }
    let before = &event["Records"][0]["cf"]["request"];
    if object.get("method") != Some(&before["method"]) || object.get("clientIp") != Some(&before["clientIp"]) {
        return Err("it changed the method or clientIp, which are read-only".into());
    }
    let Some(Value::Object(headers)) = object.get("headers") else { return Err("the request has no headers".into()) };
    check_read_only(request.event, &before["headers"], headers)?;
    let headers = read_headers(headers)?;
    let path = object.get("uri").and_then(Value::as_str).filter(|path| path.starts_with('/'));
    let path = path.ok_or("the uri must begin with a slash")?.to_owned();
    let query = object.get("querystring").and_then(Value::as_str).unwrap_or_default().to_owned();
    check_address(&path, &query)?;
    let origin = match (request.event, object.get("origin")) {
        (EventType::OriginRequest, Some(origin)) if *origin != before["origin"] => Some(read_origin(origin)?),
        _ => None,
    };
    Ok(EdgeVerdict::Forward(ChangedRequest { path, query, headers }, origin))
}

/// Another origin than the configured one. The emulator has no TLS towards origins.
fn read_origin(origin: &Value) -> Result<Uri, String> {
    let custom = &origin["custom"];
    let domain = custom["domainName"].as_str().ok_or("only custom origins are emulated")?;
    let port = custom["port"].as_u64().unwrap_or(80);
    let path = custom["path"].as_str().unwrap_or_default();
    if custom["protocol"] != "http" {
        return Err("only origins by http are emulated".into());
    }
    format!("http://{domain}:{port}{path}").parse().map_err(|_| "the origin is no address".to_owned())
}

/// Reads what a function of a response event returned.
///
/// # Errors
///
/// The rule that is broken.
pub(crate) fn read_response(event_type: EventType, event: &Value, returned: &Value) -> Result<ChangedResponse, String> {
    let Value::Object(object) = returned else { return Err("it did not return the response".into()) };
    let before = &event["Records"][0]["cf"]["response"];
    let Some(Value::Object(headers)) = object.get("headers") else { return Err("the response has no headers".into()) };
    check_read_only(event_type, &before["headers"], headers)?;
    let status = read_status(object)?;
    if event_type == EventType::ViewerResponse
        && before["status"].as_str() != Some(StatusCode::from_u16(status).unwrap_or_default().as_str())
    {
        return Err("a viewer-response function cannot change the status".into());
    }
    let headers = read_headers(headers)?;
    let body = match object.get("body") {
        None => None,
        Some(_) if event_type == EventType::ViewerResponse => {
            return Err("a viewer-response function cannot replace the body".into());
        }
        Some(body) => Some(read_body(object, body)?),
    };
    check_size(event_type, &headers, body.as_deref().unwrap_or_default())?;
    Ok(ChangedResponse { status, headers, body })
}

fn generated(event: EventType, object: &Map<String, Value>) -> Result<GeneratedResponse, String> {
    let status = read_status(object)?;
    let headers = match object.get("headers") {
        None => HeaderMap::new(),
        Some(Value::Object(headers)) => read_headers(headers)?,
        Some(_) => return Err("response.headers must be an object".into()),
    };
    let body = object.get("body").map(|body| read_body(object, body)).transpose()?.unwrap_or_default();
    check_size(event, &headers, &body)?;
    Ok(GeneratedResponse { status, headers, body })
}

fn check_size(event: EventType, headers: &HeaderMap, body: &str) -> Result<(), String> {
    let limit = if event.is_viewer() { VIEWER_GENERATED_MAX_BYTES } else { ORIGIN_GENERATED_MAX_BYTES };
    let bytes = headers_bytes(headers) + body.len();
    if bytes > limit {
        return Err(format!("the response has {bytes} bytes, {limit} are allowed"));
    }
    Ok(())
}

/// The status is text; a number is taken, too.
fn read_status(object: &Map<String, Value>) -> Result<u16, String> {
    let status = match object.get("status") {
        Some(Value::String(text)) => text.parse().ok(),
        Some(number) => number.as_u64().and_then(|status| u16::try_from(status).ok()),
        None => None,
    };
    status.filter(|status| (200..600).contains(status)).ok_or_else(|| "status must be 200 to 599".to_owned())
}

fn read_body(object: &Map<String, Value>, body: &Value) -> Result<String, String> {
    if object.get("bodyEncoding").is_some_and(|encoding| encoding != "text") {
        return Err("only text bodies are emulated".into());
    }
    body.as_str().map(str::to_owned).ok_or_else(|| "the body must be text".to_owned())
}

/// `{name: [{key, value}]}`
fn read_headers(headers: &Map<String, Value>) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, list) in headers {
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(format!("the header name {name} must be in lower case"));
        }
        if is_disallowed(name) {
            return Err(format!("it tried to add the disallowed header {name}"));
        }
        let parsed: HeaderName = name.parse().map_err(|_| format!("{name:?} is no header name"))?;
        let Value::Array(list) = list else { return Err(format!("the header {name} must be a list")) };
        for header in list {
            let key = header.get("key").and_then(Value::as_str).unwrap_or(name);
            if !key.eq_ignore_ascii_case(name) {
                return Err(format!("the header {name} has the key {key}"));
            }
            let value = header.get("value").and_then(Value::as_str);
            let value = value.ok_or_else(|| format!("the header {name} has no value"))?;
            let value =
                HeaderValue::from_bytes(value.as_bytes()).map_err(|_| format!("the header {name} has a bad value"))?;
            map.append(parsed.clone(), value);
        }
    }
    Ok(map)
}

#[cfg(test)]
mod tests;
