//! Log files, named as in S3.
//!
//! ```text
//! v1  EDFDVBD6EXAMPLE.2026-09-14-10.1a2b3c4d.gz
//! v2  AWSLogs/111122223333/CloudFront/EDFDVBD6EXAMPLE/2026/09/14/10/EDFDVBD6EXAMPLE.2026-09-14-10.1a2b3c4d.gz
//! ```

use std::path::Path;

use bytes::Bytes;
use rootspan_model::time::{UnixNanos, Utc};

use super::Refusal;
use crate::emulator::log_form::LogForm;

/// The account in the paths; a documentation value.
const ACCOUNT: &str = "111122223333";

/// The file of a batch. Its hour is that of its first record; a file may hold records of others, as CloudFront's may.
pub(crate) fn name(form: &LogForm, distribution_id: &str, unix_millis: u64, id: &str, extension: &str) -> String {
    let Utc { year, month, day, hour, .. } = UnixNanos(unix_millis.saturating_mul(1_000_000)).utc();
    let file = format!("{distribution_id}.{year:04}-{month:02}-{day:02}-{hour:02}.{id}{extension}");
    match form {
        LogForm::StandardV1 => file,
        LogForm::StandardV2 { .. } => {
            let path = format!("{distribution_id}/{year:04}/{month:02}/{day:02}/{hour:02}");
            format!("AWSLogs/{ACCOUNT}/CloudFront/{path}/{file}")
        }
        // Neither goes to S3 by itself: Firehose and exports write their own prefixes.
        LogForm::RealTime { .. } => format!("real-time/{year:04}/{month:02}/{day:02}/{hour:02}/{file}"),
        LogForm::Functions => format!("functions/{year:04}/{month:02}/{day:02}/{hour:02}/{file}"),
    }
}

/// Writes a file that is there whole or not at all.
pub(crate) async fn write(folder: &Path, name: &str, body: &Bytes) -> Result<(), Refusal> {
    let path = folder.join(name);
    let unfinished = path.with_extension("unfinished");
    let parent = path.parent().unwrap_or(folder);
    let written = async {
        tokio::fs::create_dir_all(parent).await?;
        tokio::fs::write(&unfinished, body).await?;
        tokio::fs::rename(&unfinished, &path).await
    };
    written.await.map_err(|error| Refusal::Retryable(format!("{} cannot be written: {error}", path.display())))
}
