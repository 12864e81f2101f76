//! Objects of a bucket, listed a page at a time.

use std::collections::VecDeque;
use std::sync::Arc;

use anyhow::Context as _;
use rootspan_gateway::aws::Place;
use rootspan_gateway::aws::bucket::{Bucket, Buckets, Query};
use rootspan_gateway::aws::object::ObjectReader;
use tokio::runtime::Handle;

use super::source::Range;
use crate::arguments::ImportArguments;

/// Objects that are read at once.
pub(super) const READERS: usize = 8;

/// An object of a bucket.
#[derive(Debug)]
pub(super) struct Object {
    bucket: Arc<Bucket>,
    key: String,
    /// Its length.
    pub(super) bytes: u64,
    runtime: Handle,
}

impl Object {
    /// As people write it.
    pub(super) fn url(&self) -> String {
        self.bucket.url(&self.key)
    }

    /// Its bytes.
    pub(super) fn open(&self) -> ObjectReader {
        ObjectReader::new(&self.bucket, &self.key, self.runtime.clone())
    }
}

/// A listing that goes on.
#[derive(Debug)]
pub(super) struct Listing {
    bucket: Arc<Bucket>,
    query: Query,
    range: Range,
    runtime: Handle,
    /// Where the next page begins: at the beginning, at a token, nowhere.
    next: Next,
}

#[derive(Debug)]
enum Next {
    Beginning,
    Token(String),
    End,
}

impl Listing {
    /// Connects; `url` is `s3://bucket/prefix`.
    pub(super) fn begin(
        url: &str,
        arguments: &ImportArguments,
        range: Range,
        runtime: &Handle,
    ) -> anyhow::Result<Self> {
        let rest = url.strip_prefix("s3://").unwrap_or(url);
        let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        anyhow::ensure!(!name.is_empty(), "{url}: write s3://bucket/prefix");
        let place = Place { region: arguments.region.clone(), endpoint: arguments.endpoint_url.clone() };
        // Servers other than Amazon's rarely have a host name for each bucket.
        let by_path = place.endpoint.is_some();
        let buckets = runtime.block_on(Buckets::connect(&place, by_path)).with_context(|| url.to_owned())?;
        // What ends with a dot ends with a distribution, and the hour follows.
        let start_after = range.start.as_ref().filter(|_| prefix.ends_with('.')).map(|hour| format!("{prefix}{hour}"));
        let query = Query { prefix: prefix.to_owned(), start_after, ..Query::default() };
        let bucket = Arc::new(buckets.bucket(name));
        Ok(Self { bucket, query, range, runtime: runtime.clone(), next: Next::Beginning })
    }

    /// The objects of the next page, without those that are not wanted; `None` at the end.
    pub(super) fn next_objects(&mut self) -> anyhow::Result<Option<VecDeque<Object>>> {
        let token = match std::mem::replace(&mut self.next, Next::End) {
            Next::Beginning => None,
            Next::Token(token) => Some(token),
            Next::End => return Ok(None),
        };
        let page = self.runtime.block_on(self.bucket.list(&self.query, token))?;
        if let Some(token) = page.next {
            self.next = Next::Token(token);
        }
        let wanted = page.objects.into_iter().filter(|object| object.bytes > 0 && self.range.has(&object.key));
        let objects = wanted.map(|object| Object {
            bucket: Arc::clone(&self.bucket),
            key: object.key,
            bytes: object.bytes,
            runtime: self.runtime.clone(),
        });
        Ok(Some(objects.collect()))
    }
}
