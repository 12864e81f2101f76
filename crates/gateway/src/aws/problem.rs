//! What a request to Amazon failed for, in words that say what to do. The SDKs' own errors hide the service's answer three
//! sources deep, and say of missing credentials only that a request could not be dispatched.

use std::error::Error;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The object is not there (any more).
    NoObject,
    /// The bucket is not there.
    NoBucket,
    /// The queue is not there.
    NoQueue,
    /// The credentials do not allow it.
    Denied,
    /// The bucket is in another Region.
    WrongRegion,
    /// No Region is known.
    NoRegion,
    /// There are no credentials.
    NoCredentials,
    /// The credentials are not (or no longer) valid.
    BadCredentials,
    /// The two clocks differ.
    Clock,
    /// The service asks for fewer requests.
    Throttled,
    /// The service was not reached, or did not answer in time.
    Unreachable,
    /// A message's receipt is not valid any more: it was delivered again.
    StaleReceipt,
    /// The object was replaced while it was read.
    Changed,
    /// What was read of it is not taken here.
    NotTaken,
    /// This machine's disk.
    Disk,
    /// Anything else.
    Other,
}

impl Fault {
    /// What to do about it; empty if there is nothing to do.
    const fn advice(self) -> &'static str {
        match self {
            Self::NoBucket => "check `bucket` and `endpoint`",
            Self::NoQueue => "check `sqs.queue_url` and the Region",
            Self::Denied => {
                "docs/edge.md lists the permissions that are needed; an encrypted bucket or queue needs kms:Decrypt, too"
            }
            Self::WrongRegion => "set `region` (or --region) to the bucket's",
            Self::NoRegion => "set `region` (or --region, or AWS_REGION)",
            Self::NoCredentials => {
                "give the process a role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
            }
            Self::BadCredentials => "renew them (`aws sso login` for a profile with SSO)",
            Self::Clock => "set this machine's clock",
            Self::Unreachable => "check the network, the proxy and `endpoint`",
            Self::NoObject
            | Self::Throttled
            | Self::StaleReceipt
            | Self::Changed
            | Self::NotTaken
            | Self::Disk
            | Self::Other => "",
        }
    }

    /// What has happened.
    const fn words(self) -> &'static str {
        match self {
            Self::NoObject => "the object does not exist",
            Self::NoBucket => "the bucket does not exist",
            Self::NoQueue => "the queue does not exist",
            Self::Denied => "access is denied",
            Self::WrongRegion => "the bucket is in another Region",
            Self::NoRegion => "no Region is known",
            Self::NoCredentials => "there are no credentials",
            Self::BadCredentials => "the credentials are not valid, or have expired",
            Self::Clock => "this machine's clock and the service's differ too much",
            Self::Throttled => "the service asks for fewer requests",
            Self::Unreachable => "the service cannot be reached",
            Self::StaleReceipt => "the message was delivered again meanwhile",
            Self::Changed => "the object was replaced while it was read",
            Self::NotTaken => "they were refused",
            Self::Disk => "the disk failed",
            Self::Other => "the request failed",
        }
    }

    /// What an error code of S3 or SQS means.
    fn of_code(code: &str) -> Option<Self> {
        // SQS still answers some requests with the names of its old protocol.
        let code = code.rsplit('#').next().unwrap_or(code);
        Some(match code {
            "NoSuchKey" | "NoSuchVersion" => Self::NoObject,
            "NoSuchBucket" => Self::NoBucket,
            "QueueDoesNotExist" | "AWS.SimpleQueueService.NonExistentQueue" | "InvalidAddress" => Self::NoQueue,
            "AccessDenied" | "AccessDeniedException" | "AllAccessDisabled" | "Forbidden" | "403" => Self::Denied,
            "PermanentRedirect"
            | "TemporaryRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException"
            | "301" => Self::WrongRegion,
            "ExpiredToken"
            | "ExpiredTokenException"
            | "InvalidAccessKeyId"
            | "InvalidClientTokenId"
            | "InvalidToken"
            | "InvalidSecurity"
            | "SignatureDoesNotMatch"
            | "TokenRefreshRequired"
            | "UnrecognizedClientException" => Self::BadCredentials,
            "RequestTimeTooSkewed" | "RequestExpired" => Self::Clock,
            "SlowDown"
            | "Throttling"
            | "ThrottlingException"
            | "RequestThrottled"
            | "ServiceUnavailable"
            | "TooManyRequestsException" => Self::Throttled,
            "ReceiptHandleIsInvalid" | "MessageNotInflight" | "InvalidParameterValue" => Self::StaleReceipt,
            "PreconditionFailed" => Self::Changed,
            _ => return None,
        })
    }
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The kind.
    pub fault: Fault,
    /// What was wanted: `cannot list s3://logs/cf/`.
    what: String,
    /// What the service or the SDK said.
    detail: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.fault.words())?;
        if !self.detail.is_empty() {
            write!(f, " ({})", self.detail)?;
        }
        match self.fault.advice() {
            "" => Ok(()),
            advice => write!(f, "; {advice}"),
        }
    }
}

impl Error for Problem {}

impl Problem {
    /// One that is known without asking the SDK.
    pub(crate) fn new(fault: Fault, what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { fault, what: what.into(), detail: detail.into() }
    }

    /// What an error of an SDK means; `what` was wanted.
    pub(crate) fn of<E>(what: impl Into<String>, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let code = error.code().unwrap_or_default();
        let status = error.raw_response().map_or(0, |response| response.status().as_u16());
        let region = error.raw_response().and_then(|response| response.headers().get("x-amz-bucket-region"));
        let fault = Fault::of_code(code).or_else(|| of_status(status)).unwrap_or_else(|| of_chain(error));
        let detail = match (fault, region, error.message()) {
            // The SDK lists every place where it looked; the advice names them.
            (Fault::NoCredentials, ..) => String::new(),
            (Fault::WrongRegion, Some(region), _) => format!("in {region}"),
            (_, _, Some(message)) if code.is_empty() => message.to_owned(),
            (_, _, Some(message)) => format!("{code}: {message}"),
            (_, _, None) if status != 0 => format!("status {status} {code}").trim_end().to_owned(),
            (_, _, None) => innermost(error),
        };
        Self::new(fault, what, detail)
    }
}

/// A status without a code: answers to HEAD, and those of balancers.
const fn of_status(status: u16) -> Option<Fault> {
    match status {
        301 | 307 | 308 => Some(Fault::WrongRegion),
        403 => Some(Fault::Denied),
        404 => Some(Fault::NoObject),
        412 => Some(Fault::Changed),
        429 | 503 => Some(Fault::Throttled),
        _ => None,
    }
}

/// Where no answer came, the reason is somewhere among the sources.
fn of_chain<E>(error: &SdkError<E, HttpResponse>) -> Fault
where
    E: Error + 'static,
{
    let mut source = error.source();
    while let Some(error) = source {
        match error.downcast_ref::<CredentialsError>() {
            Some(CredentialsError::CredentialsNotLoaded(_)) => return Fault::NoCredentials,
            Some(_) => return Fault::BadCredentials,
            None => source = error.source(),
        }
    }
    match error {
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => Fault::Unreachable,
        _ => Fault::Other,
    }
}

/// The reason at the bottom.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_a_meaning_in_either_protocol() {
        for (code, fault) in [
            ("NoSuchKey", Fault::NoObject),
            ("com.amazonaws.sqs#QueueDoesNotExist", Fault::NoQueue),
            ("AWS.SimpleQueueService.NonExistentQueue", Fault::NoQueue),
            ("ExpiredToken", Fault::BadCredentials),
            ("SlowDown", Fault::Throttled),
        ] {
            assert_eq!(Fault::of_code(code), Some(fault), "{code}");
        }
        assert_eq!(Fault::of_code("InternalError"), None);
    }

    #[test]
    fn a_problem_is_one_sentence_that_says_what_to_do() {
        let problem = Problem::new(Fault::WrongRegion, "cannot list s3://logs/cf/", "in eu-west-1");
        assert_eq!(
            problem.to_string(),
            "cannot list s3://logs/cf/: the bucket is in another Region (in eu-west-1); set `region` (or --region) to \
             the bucket's"
        );
        let gone = Problem::new(Fault::NoObject, "cannot read s3://logs/a", "");
        assert_eq!(gone.to_string(), "cannot read s3://logs/a: the object does not exist");
    }
}
