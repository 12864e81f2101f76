//! Between HTTP and the events of CloudFront Functions ("CloudFront Functions event structure").

use http::StatusCode;
use http::header::{CONTENT_TYPE, COOKIE, HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use serde_json::{Map, Value, json};

use super::headers::{EventType, headers_bytes, is_disallowed};
use super::limits::{URL_MAX_BYTES, VIEWER_GENERATED_MAX_BYTES};

/// What an event is made of.
pub(crate) struct ViewerRequest<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) viewer_ip: String,
    pub(crate) request_id: &'a str,
    pub(crate) distribution_id: &'a str,
    pub(crate) distribution_domain: &'a str,
}

/// What a function wants.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// The request goes on, as the function left it.
    Forward(ChangedRequest),
    /// The function answers itself.
    Respond(GeneratedResponse),
}

/// A request after the function.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ChangedRequest {
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
}

/// A response that a function made.
#[derive(Debug, PartialEq)]
pub(crate) struct GeneratedResponse {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// A response as a viewer-response function left it.
#[derive(Debug, PartialEq)]
pub(crate) struct ChangedResponse {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// Instead of the body that there was.
    pub(crate) body: Option<String>,
}

/// The viewer-request event.
pub(crate) fn viewer_request(viewer: &ViewerRequest<'_>) -> Value {
    request_event(viewer, EventType::ViewerRequest)
}

/// The viewer-response event: the request as viewer-request left it, and the response without its body.
pub(crate) fn viewer_response(viewer: &ViewerRequest<'_>, status: StatusCode, headers: &HeaderMap) -> Value {
    let mut event = request_event(viewer, EventType::ViewerResponse);
    let mut cookies = Map::new();
    for value in headers.get_all(SET_COOKIE) {
        let text = String::from_utf8_lossy(value.as_bytes());
        let (pair, attributes) = text.split_once(';').unwrap_or((&text, ""));
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        cookies.insert(name.trim().to_owned(), json!({"value": value, "attributes": attributes.trim()}));
    }
    event["response"] = json!({
        "statusCode": status.as_u16(),
        "statusDescription": status.canonical_reason().unwrap_or_default(),
        "headers": visible(headers, &SET_COOKIE),
        "cookies": cookies,
    });
    event
}

/// The headers that a function sees, but for the one that has a member of its own.
fn visible(headers: &HeaderMap, but: &HeaderName) -> Map<String, Value> {
    let mut seen = Map::new();
    for name in headers.keys().filter(|name| *name != but && !is_disallowed(name.as_str())) {
        let values = headers.get_all(name).iter();
        let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
        seen.insert(name.as_str().to_owned(), entry(values));
    }
    seen
}

fn request_event(viewer: &ViewerRequest<'_>, event: EventType) -> Value {
    let headers = visible(viewer.headers, &COOKIE);
    let cookies = viewer.headers.get_all(COOKIE).iter();
    let cookies: Vec<_> = cookies.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
    let cookies = cookies.iter().flat_map(|value| value.split(';')).map(str::trim);
    json!({
        "version": "1.0",
        "context": {
            "distributionDomainName": viewer.distribution_domain,
            "distributionId": viewer.distribution_id,
            "eventType": event.name(),
            "requestId": viewer.request_id,
        },
        "viewer": {"ip": viewer.viewer_ip},
        "request": {
            "method": viewer.method,
            "uri": viewer.path,
            "querystring": pairs(viewer.query.split('&')),
            "headers": headers,
            "cookies": pairs(cookies),
        },
    })
}

/// `{value, multiValue?}`: the first value, and all if there are several.
fn entry(values: Vec<String>) -> Value {
    let first = values.first().cloned().unwrap_or_default();
    if values.len() < 2 {
        return json!({"value": first});
    }
    let all: Vec<_> = values.into_iter().map(|value| json!({"value": value})).collect();
    json!({"value": first, "multiValue": all})
}

fn pairs<'a>(texts: impl Iterator<Item = &'a str>) -> Map<String, Value> {
    let mut collected: Vec<(&str, Vec<String>)> = Vec::new();
    for text in texts.filter(|text| !text.is_empty()) {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        match collected.iter_mut().find(|(known, _)| *known == key) {
            Some((_, values)) => values.push(value.to_owned()),
            None => collected.push((key, vec![value.to_owned()])),
        }
    }
    collected.into_iter().map(|(key, values)| (key.to_owned(), entry(values))).collect()
}

/// Reads what the function returned for an event, under CloudFront's rules.
///
/// # Errors
///
/// The rule that is broken: CloudFront's `FunctionValidationError`, a 502 for the viewer.
pub(crate) fn read_returned(
    viewer: &ViewerRequest<'_>,
    event: &Value,
    returned: Option<&Value>,
) -> Result<Verdict, String> {
    let Some(Value::Object(returned)) = returned else { return Err("it returned neither request nor response".into()) };
    if returned.contains_key("statusCode") {
        return generated(returned).map(Verdict::Respond);
    }
    let request = &event["request"];
    if returned.get("method") != Some(&request["method"]) {
        return Err("it changed the method, which is read-only".into());
    }
    let Some(Value::Object(headers)) = returned.get("headers") else { return Err("the request has no headers".into()) };
    check_read_only(EventType::ViewerRequest, &request["headers"], headers)?;
    let mut header_map = read_headers(headers)?;
    // What the function left alone goes on byte for byte: the event's form loses order and empty values.
    if returned.get("cookies") == Some(&request["cookies"]) {
        for value in viewer.headers.get_all(COOKIE) {
            header_map.append(COOKIE, value.clone());
        }
    } else {
        let cookies = read_pairs(returned.get("cookies"), "; ", "cookies")?;
        let value = HeaderValue::from_str(&cookies).map_err(|_| "a cookie has characters that are not allowed")?;
        if !value.is_empty() {
            header_map.insert(COOKIE, value);
        }
    }
    let path = returned.get("uri").and_then(Value::as_str).filter(|path| path.starts_with('/'));
    let path = path.ok_or("the uri must begin with a slash")?.to_owned();
    let query = match returned.get("querystring") {
        Some(unchanged) if *unchanged == request["querystring"] => viewer.query.to_owned(),
        Some(Value::String(text)) => text.clone(),
        other => read_pairs(other, "&", "querystring")?,
    };
    check_address(&path, &query)?;
    Ok(Verdict::Forward(ChangedRequest { path, query, headers: header_map }))
}

/// Reads what a viewer-response function returned.
///
/// # Errors
///
/// The rule that is broken.
pub(crate) fn read_response(
    original: &HeaderMap,
    event: &Value,
    returned: Option<&Value>,
) -> Result<ChangedResponse, String> {
    let Some(Value::Object(returned)) = returned else { return Err("it did not return the response".into()) };
    let response = &event["response"];
    let status = read_status(returned.get("statusCode"))?;
    let Some(Value::Object(headers)) = returned.get("headers") else {
        return Err("the response has no headers".into());
    };
    check_read_only(EventType::ViewerResponse, &response["headers"], headers)?;
    let mut header_map = read_headers(headers)?;
    if returned.get("cookies") == Some(&response["cookies"]) {
        for value in original.get_all(SET_COOKIE) {
            header_map.append(SET_COOKIE, value.clone());
        }
    } else {
        for cookie in read_set_cookies(returned.get("cookies"))? {
            header_map.append(SET_COOKIE, cookie);
        }
    }
    let body = returned.get("body").map(|body| read_body(Some(body))).transpose()?;
    check_generated(&header_map, body.as_deref().unwrap_or_default())?;
    Ok(ChangedResponse { status, headers: header_map, body })
}

fn read_set_cookies(cookies: Option<&Value>) -> Result<Vec<HeaderValue>, String> {
    let cookies = match cookies {
        None => return Ok(Vec::new()),
        Some(Value::Object(cookies)) => cookies,
        Some(_) => return Err("cookies must be an object".into()),
    };
    let texts = cookies.iter().map(|(name, cookie)| {
        let value =
            cookie.get("value").and_then(Value::as_str).ok_or_else(|| format!("the cookie {name} has no value"))?;
        let attributes = cookie.get("attributes").and_then(Value::as_str).unwrap_or_default();
        let separator = if attributes.is_empty() { "" } else { "; " };
        HeaderValue::from_str(&format!("{name}={value}{separator}{attributes}"))
            .map_err(|_| format!("the cookie {name} has characters that are not allowed"))
    });
    texts.collect()
}

/// The values of read-only headers must be what they were.
pub(crate) fn check_read_only(event: EventType, before: &Value, after: &Map<String, Value>) -> Result<(), String> {
    for name in event.read_only() {
        if after.get(*name) != before.get(*name) {
            return Err(format!("it tried to add, delete, or change the read-only header {name}"));
        }
    }
    Ok(())
}

/// What a function may make of the address.
pub(crate) fn check_address(path: &str, query: &str) -> Result<(), String> {
    if path.len() + query.len() + 1 >= URL_MAX_BYTES {
        return Err(format!("the uri and the query must be shorter than {URL_MAX_BYTES} bytes"));
    }
    if query.chars().any(|character| character.is_control() || character == ' ' || character == '#') {
        return Err("the query string has a space, a control character or a #".into());
    }
    Ok(())
}

/// The size of a response that a function makes at the viewer's side.
pub(crate) fn check_generated(headers: &HeaderMap, body: &str) -> Result<(), String> {
    let bytes = headers_bytes(headers) + body.len();
    if bytes > VIEWER_GENERATED_MAX_BYTES {
        return Err(format!("the response has {bytes} bytes, {VIEWER_GENERATED_MAX_BYTES} are allowed"));
    }
    Ok(())
}

fn generated(returned: &Map<String, Value>) -> Result<GeneratedResponse, String> {
    let status = read_status(returned.get("statusCode"))?;
    let mut headers = match returned.get("headers") {
        None => HeaderMap::new(),
        Some(Value::Object(headers)) => read_headers(headers)?,
        Some(_) => return Err("response.headers must be an object".into()),
    };
    for cookie in read_set_cookies(returned.get("cookies"))? {
        headers.append(SET_COOKIE, cookie);
    }
    let body = read_body(returned.get("body"))?;
    check_generated(&headers, &body)?;
    Ok(GeneratedResponse { status, headers, body })
}

fn read_status(status: Option<&Value>) -> Result<u16, String> {
    let status = status.and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok());
    status.filter(|status| (200..600).contains(status)).ok_or_else(|| "statusCode must be 200 to 599".to_owned())
}

fn read_body(body: Option<&Value>) -> Result<String, String> {
    match body {
        None => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Object(body)) if body.get("encoding").is_none_or(|encoding| encoding == "text") => {
            Ok(body.get("data").and_then(Value::as_str).unwrap_or_default().to_owned())
        }
        Some(_) => Err("only text bodies are emulated".into()),
    }
}

fn read_headers(headers: &Map<String, Value>) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, header) in headers {
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(format!("the header name {name} must be in lower case"));
        }
        if is_disallowed(name) {
            return Err(format!("it tried to add the disallowed header {name}"));
        }
        let parsed: HeaderName = name.parse().map_err(|_| format!("{name:?} is no header name"))?;
        for value in values(header).ok_or_else(|| format!("the header {name} has no value"))? {
            let value =
                HeaderValue::from_bytes(value.as_bytes()).map_err(|_| format!("the header {name} has a bad value"))?;
            map.append(parsed.clone(), value);
        }
    }
    Ok(map)
}

fn read_pairs(object: Option<&Value>, separator: &str, what: &str) -> Result<String, String> {
    let empty = Map::new();
    let object = match object {
        None => &empty,
        Some(Value::Object(object)) => object,
        Some(_) => return Err(format!("{what} must be an object")),
    };
    let mut parts = Vec::new();
    for (key, entry) in object {
        for value in values(entry).ok_or_else(|| format!("{key} in {what} has no value"))? {
            parts.push(format!("{key}={value}"));
        }
    }
    Ok(parts.join(separator))
}

/// The values of an entry: `multiValue` counts if it is there.
fn values(entry: &Value) -> Option<Vec<&str>> {
    match entry.get("multiValue") {
        Some(Value::Array(all)) => all.iter().map(|one| one.get("value")?.as_str()).collect(),
        _ => Some(vec![entry.get("value")?.as_str()?]),
    }
}

/// CloudFront's own error page.
pub(crate) fn error_page(status: u16, message: &str, request_id: &str) -> GeneratedResponse {
    let body = format!(
        "<!DOCTYPE html>\n<title>{status} ERROR: The request could not be satisfied</title>\n<h1>{status} ERROR</h1>\n<h2>The request could not be satisfied.</h2>\n<p>{message}</p>\n<p>Request ID: {request_id}</p>\n"
    );
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    GeneratedResponse { status, headers, body }
}

#[cfg(test)]
mod tests;
