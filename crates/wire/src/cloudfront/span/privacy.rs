//! What is kept of the viewer (DESIGN.md section 2, point 8). Everything here gives either what was there or less, and what
//! it does not understand is not kept.
//!
//! | of | is kept | by configuration |
//! |---|---|---|
//! | cookies, headers, user names in URLs | nothing | never |
//! | the query | names; parameters without a value if they are words | values of named parameters, credentials never |
//! | the path | all but values of its parameters (`;jsessionid=…`) | as those of the query |
//! | the referrer | as far as its path, treated as one | – |
//! | addresses | the network | all, or nothing |

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::ClientAddress;
use crate::cloudfront::record::percent_decoded;

/// Query parameters that carry credentials, in lower case; their values are never kept.
const SECRET_PARAMETERS: [&str; 20] = [
    "signature",
    "policy",
    "key-pair-id",
    "token",
    "access_token",
    "id_token",
    "refresh_token",
    "awsaccesskeyid",
    "x-amz-signature",
    "x-amz-credential",
    "x-amz-security-token",
    "x-goog-signature",
    "sig",
    "code",
    "password",
    "secret",
    "client_secret",
    "api_key",
    "apikey",
    "jwt",
];

/// What stands for a value that is not kept (OpenTelemetry, conventions for `url.query`).
pub(super) const REDACTED: &str = "REDACTED";

/// Longer names are rather tokens.
const NAME_MAX_CHARS: usize = 64;

/// Longer words are rather tokens.
const WORD_MAX_CHARS: usize = 24;

/// An escape within an escape is met where one proxy encodes what another did; more is nobody's name.
const MAX_ESCAPES: usize = 3;

/// 6to4 (RFC 3056): the IPv4 address is in the first 48 bits.
const SIX_TO_FOUR: u16 = 0x2002;

/// The query with all values replaced but those of the parameters in `kept`.
pub(super) fn query(query: &str, kept: &[String]) -> String {
    let mut text = String::with_capacity(query.len() + REDACTED.len());
    let mut rest = query;
    // Old applications separate by semicolons: what follows one is a parameter of its own, too.
    while let Some(end) = rest.bytes().position(|byte| matches!(byte, b'&' | b';')) {
        let (parameter, behind) = rest.split_at(end);
        put_parameter(&mut text, parameter, kept);
        let (separator, behind) = behind.split_at(1);
        text.push_str(separator);
        rest = behind;
    }
    put_parameter(&mut text, rest, kept);
    text
}

/// The path with the values of its parameters replaced: where there are no cookies, sessions are kept there.
pub(super) fn path<'p>(path: &'p str, kept: &[String]) -> Cow<'p, str> {
    let may_have_parameters = |byte: &u8| matches!(byte, b';' | b'%');
    if !path.as_bytes().iter().any(may_have_parameters) {
        return Cow::Borrowed(path);
    }
    if !path.contains(';') && !path.contains("%3B") && !path.contains("%3b") {
        return Cow::Borrowed(path);
    }
    let mut text = String::with_capacity(path.len());
    for segment in path.split_inclusive('/') {
        let (segment, end) = segment.strip_suffix('/').map_or((segment, ""), |segment| (segment, "/"));
        let begins = [";", "%3B", "%3b"].into_iter().filter_map(|begin| segment.find(begin)).min();
        let (name, parameters) = segment.split_at(begins.unwrap_or(segment.len()));
        text.push_str(name);
        for parameter in parameters.split_inclusive(';') {
            match parameter.strip_suffix(';') {
                Some("") => text.push(';'),
                Some(parameter) => {
                    put_parameter(&mut text, parameter, kept);
                    text.push(';');
                }
                None => put_parameter(&mut text, parameter, kept),
            }
        }
        text.push_str(end);
    }
    Cow::Owned(text)
}

/// Where the viewer comes from, as far as its path: no user, no query, no fragment.
pub(super) fn referrer<'r>(referrer: &'r str, kept: &[String]) -> Cow<'r, str> {
    match percent_decoded(referrer.into()) {
        Cow::Borrowed(referrer) => page(referrer, kept),
        Cow::Owned(referrer) => Cow::Owned(page(&referrer, kept).into_owned()),
    }
}

fn page<'r>(referrer: &'r str, kept: &[String]) -> Cow<'r, str> {
    let end = memchr::memchr2(b'?', b'#', referrer.as_bytes()).unwrap_or(referrer.len());
    let page = referrer.get(..end).unwrap_or_default();
    // So short a text at so early a place is not worth a searcher.
    let Some(at) = page.as_bytes().windows(2).position(|pair| pair == b"//") else { return path(page, kept) };
    let (scheme, rest) = (page.get(..at).unwrap_or_default(), page.get(at + 2..).unwrap_or_default());
    let (authority, page_path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match (authority.rsplit_once('@'), path(page_path, kept)) {
        (None, Cow::Borrowed(_)) => Cow::Borrowed(page),
        (user_and_host, page_path) => {
            let host = user_and_host.map_or(authority, |(_user, host)| host);
            Cow::Owned(format!("{scheme}//{host}{page_path}"))
        }
    }
}

/// As much of an address as is to be kept.
pub(super) fn address(address: &str, kept: ClientAddress) -> Option<String> {
    match kept {
        ClientAddress::Full => Some(address.to_owned()),
        ClientAddress::Omitted => None,
        // What is no address cannot be cut, so it is not kept.
        ClientAddress::Network => match address.parse().ok()? {
            // What is parsed has one way to be written: the last number is what is behind the last dot.
            IpAddr::V4(_) => Some([address.get(..=address.rfind('.')?)?, "0"].concat()),
            IpAddr::V6(v6) => Some(match v6.to_ipv4_mapped() {
                Some(v4) => Ipv4Addr::from_bits(v4.to_bits() & (!0 << 8)).to_string(),
                None => network_of_v6(v6),
            }),
        },
    }
}

/// /48, or /40 where that is a /24 of IPv4 in disguise. The rest is zeros, which are written as `::` (RFC 5952, section 4.2);
/// the formatter takes five times as long.
fn network_of_v6(address: Ipv6Addr) -> String {
    let [first, second, third, ..] = address.segments();
    let groups = [first, second, if first == SIX_TO_FOUR { third & 0xff00 } else { third }];
    let count = groups.iter().rposition(|group| *group != 0).map_or(0, |last| last + 1);
    let mut text = String::with_capacity(17);
    for group in &groups[..count] {
        let digits = 4 - (group.leading_zeros() / 4).min(3);
        for place in (0..digits).rev() {
            text.extend(char::from_digit(u32::from(group >> (4 * place)) & 0xf, 16));
        }
        text.push(':');
    }
    text.push_str(if count == 0 { "::" } else { ":" });
    text
}

fn put_parameter(text: &mut String, parameter: &str, kept: &[String]) {
    let equals = parameter.bytes().position(|byte| byte == b'=');
    let (name, value) =
        equals.and_then(|at| Some((parameter.get(..at)?, parameter.get(at + 1..)?))).unwrap_or((parameter, ""));
    let is_secret = || SECRET_PARAMETERS.iter().any(|secret| secret.eq_ignore_ascii_case(name));
    if kept.iter().any(|kept| kept == name) && !is_secret() {
        text.push_str(parameter);
        return;
    }
    // `==` ends what is encoded by base64: that is no name with a value, but all of it is the value.
    let is_bare = matches!(value, "" | "=");
    if is_bare && (parameter.is_empty() || is_word(name)) {
        text.push_str(parameter);
    } else if is_bare || !is_name(name) {
        text.push_str(REDACTED);
    } else {
        text.push_str(name);
        text.push('=');
        text.push_str(REDACTED);
    }
}

/// Whether it can be the name of a parameter: `filter[name]`, whatever is escaped of it.
fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if text.len() <= NAME_MAX_CHARS && text.bytes().all(is_plain) {
        return true;
    }
    let is_of_name = |character: char| character.is_alphanumeric() || "_-.:$~[]*;".contains(character);
    let mut text = Cow::Borrowed(text);
    for _ in 0..MAX_ESCAPES {
        if !text.contains('%') {
            break;
        }
        text = percent_decoded(text.into_owned().into());
    }
    text.chars().take(NAME_MAX_CHARS + 1).count() <= NAME_MAX_CHARS && text.chars().all(is_of_name)
}

/// Whether it says something by itself and nothing about the viewer: `wsdl`, `no-cache`. Tokens have digits, or are longer.
fn is_word(text: &str) -> bool {
    let is_of_word = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_' || byte == b'-';
    text.len() <= WORD_MAX_CHARS && text.bytes().all(is_of_word)
}

#[cfg(test)]
mod tests;
