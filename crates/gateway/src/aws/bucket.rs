//! A bucket: its listing page by page, and what is in it.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    Builder, RequestChecksumCalculation, ResponseChecksumValidation, StalledStreamProtectionConfig,
};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::types::EncodingType;
use rootspan_model::time::UnixNanos;

use super::problem::{Fault, Problem};
use super::{Place, configuration};

/// A client for buckets in one Region, on one server.
#[derive(Clone, Debug)]
pub struct Buckets {
    client: Client,
}

/// One bucket.
#[derive(Clone, Debug)]
pub struct Bucket {
    client: Client,
    name: String,
}

/// An object as a listing tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The key.
    pub key: String,
    /// Changes when the object is replaced.
    pub etag: String,
    /// Its length.
    pub bytes: u64,
    /// When it was written.
    pub modified: UnixNanos,
}

/// A part of a listing.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Objects, in the order of their keys' bytes.
    pub objects: Vec<Listed>,
    /// What keys have up to the delimiter, each once.
    pub prefixes: Vec<String>,
    /// Where the next part begins; `None` at the end.
    pub next: Option<String>,
}

/// What is listed.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// What keys begin with.
    pub prefix: String,
    /// Keys that have it behind the prefix are summed up.
    pub delimiter: Option<String>,
    /// Keys up to this one are left out.
    pub start_after: Option<String>,
    /// Most entries of a page.
    pub max_keys: Option<i32>,
}

impl Buckets {
    /// Looks for a Region and prepares to connect.
    ///
    /// # Errors
    /// There is no Region.
    pub async fn connect(place: &Place, force_path_style: bool) -> Result<Self, Problem> {
        let configuration = configuration(place).await;
        if configuration.region().is_none() {
            return Err(Problem::new(Fault::NoRegion, "cannot connect to S3", ""));
        }
        let builder = Builder::from(&configuration)
            .force_path_style(force_path_style)
            // Servers other than Amazon's may not know checksums; gzip has its own.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            // A reader that waits for the store is slow on purpose; `object` has a limit of its own.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        Ok(Self { client: Client::from_conf(builder.build()) })
    }

    /// One of them.
    #[must_use]
    pub fn bucket(&self, name: &str) -> Bucket {
        Bucket { client: self.client.clone(), name: name.to_owned() }
    }
}

impl Bucket {
    /// As people write it.
    #[must_use]
    pub fn url(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.name)
    }

    /// A part of the listing; `from` is where an earlier one ended.
    ///
    /// # Errors
    /// One sentence that says what to do.
    pub async fn list(&self, query: &Query, from: Option<String>) -> Result<Page, Problem> {
        let request = self.client.list_objects_v2().bucket(&self.name).prefix(&query.prefix);
        let request = request
            .set_delimiter(query.delimiter.clone())
            .set_start_after(query.start_after.clone())
            .set_max_keys(query.max_keys)
            .set_continuation_token(from)
            // Keys may have characters that XML has not.
            .encoding_type(EncodingType::Url);
        let what = || format!("cannot list {}", self.url(&query.prefix));
        let answer = request.send().await.map_err(|error| Problem::of(what(), &error))?;
        // Servers that do not know the encoding do not name it.
        let is_encoded = answer.encoding_type.is_some();
        let plain = |text: &str| if is_encoded { decoded(text) } else { text.to_owned() };
        let mut page = Page { next: answer.next_continuation_token, ..Page::default() };
        for object in answer.contents.unwrap_or_default() {
            let modified = object.last_modified.map_or(0, |at| at.as_nanos());
            page.objects.push(Listed {
                key: plain(object.key.as_deref().unwrap_or_default()),
                etag: object.e_tag.unwrap_or_default(),
                bytes: object.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
                modified: UnixNanos(u64::try_from(modified).unwrap_or(0)),
            });
        }
        let prefixes = answer.common_prefixes.unwrap_or_default();
        page.prefixes = prefixes.iter().filter_map(|common| common.prefix.as_deref()).map(plain).collect();
        Ok(page)
    }

    /// Begins to read an object from `offset` on; it must still have the tag, if one is given.
    ///
    /// # Errors
    /// One sentence that says what to do.
    pub(super) async fn get(&self, key: &str, etag: Option<&str>, offset: u64) -> Result<GetObjectOutput, Problem> {
        let range = (offset > 0).then(|| format!("bytes={offset}-"));
        let request = self.client.get_object().bucket(&self.name).key(key).set_range(range);
        let request = request.set_if_match(etag.map(str::to_owned));
        request.send().await.map_err(|error| Problem::of(format!("cannot read {}", self.url(key)), &error))
    }
}

/// A key without the escapes of `encoding-type=url`, where a plus is a space.
fn decoded(text: &str) -> String {
    percent_decode(&text.replace('+', " "))
}

/// Undoes `%XX`; what is none stays.
pub(crate) fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let escaped = bytes.get(index + 1..index + 3).filter(|_| bytes[index] == b'%');
        let value = escaped.and_then(|digits| std::str::from_utf8(digits).ok());
        match value.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(value) => {
                decoded.push(value);
                index += 3;
            }
            None => {
                decoded.push(bytes[index]);
                index += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_of_keys_are_undone() {
        for (escaped, key) in
            [("a/b.gz", "a/b.gz"), ("a%2Fb+c%3D1", "a/b c=1"), ("%C3%A4%2B", "ä+"), ("100%", "100%"), ("%zz", "%zz")]
        {
            assert_eq!(decoded(escaped), key);
        }
    }
}
