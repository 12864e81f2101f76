//! An S3- and SQS-compatible server from the Python package index, spoken to without any of rootspan's own code.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::http::{self, Answer, escape};
use crate::process::{Process, Site, rootspan};
use crate::wait::eventually;

/// A running server; it is killed with this.
pub(crate) struct Moto {
    _process: Process,
    pub(crate) address: SocketAddr,
}

/// Where `cargo xtask test` installs it.
fn program() -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_rootspan")).ancestors().nth(2).expect("it lies in target/debug");
    let program = target.join("moto/bin/moto_server");
    let how = "`cargo xtask test setup` installs it (Python 3 with venv is needed)";
    assert!(program.is_file(), "the S3- and SQS-compatible server is not installed in {}: {how}", target.display());
    program
}

impl Moto {
    pub(crate) fn start() -> Self {
        let mut command = Command::new(program());
        command.args(["-H", "127.0.0.1", "-p", "0"]).env("PYTHONUNBUFFERED", "1").env_remove("AWS_PROFILE");
        let process = Process::spawn(&mut command);
        let line = process.wait_for_log("Running on http://");
        let (_, address) = line.split_once("http://").expect("just found");
        let address = address.trim().parse().expect("an address is announced");
        Self { _process: process, address }
    }

    /// `http://…`
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn signed(&self, service: &str, method: &str, target: &str, more: &[(&str, &str)], body: &[u8]) -> Answer {
        let credential = format!(
            "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
        );
        let headers = [&[("Authorization", credential.as_str()), ("Connection", "close")], more].concat();
        http::send(self.address, method, target, &headers, body)
    }

    fn s3(&self, method: &str, target: &str, body: &[u8]) -> Answer {
        let answer = self.signed("s3", method, target, &[], body);
        assert!(answer.status < 300, "{method} {target}: {} {}", answer.status, answer.text());
        answer
    }

    pub(crate) fn sqs(&self, action: &str, body: &Value) -> Value {
        let target = format!("AmazonSQS.{action}");
        let headers = [("X-Amz-Target", target.as_str()), ("Content-Type", "application/x-amz-json-1.0")];
        let answer = self.signed("sqs", "POST", "/", &headers, body.to_string().as_bytes());
        assert_eq!(answer.status, 200, "{action}: {}", answer.text());
        if answer.body.is_empty() { Value::Null } else { answer.json() }
    }

    pub(crate) fn create_bucket(&self, bucket: &str) {
        self.s3("PUT", &format!("/{bucket}"), b"");
    }

    pub(crate) fn put(&self, bucket: &str, key: &str, body: &[u8]) {
        self.s3("PUT", &format!("/{bucket}/{}", escape(key).replace("%2F", "/")), body);
    }

    pub(crate) fn delete(&self, bucket: &str, key: &str) {
        self.s3("DELETE", &format!("/{bucket}/{}", escape(key).replace("%2F", "/")), b"");
    }

    /// The keys of a bucket, which are plain.
    pub(crate) fn keys(&self, bucket: &str) -> Vec<String> {
        let listing = self.s3("GET", &format!("/{bucket}?list-type=2"), b"").text();
        let keys = listing.split("<Key>").skip(1).filter_map(|rest| rest.split_once("</Key>"));
        keys.map(|(key, _)| key.to_owned()).collect()
    }

    /// Makes a queue and gives its URL.
    pub(crate) fn create_queue(&self, name: &str, attributes: &Value) -> String {
        let made = self.sqs("CreateQueue", &json!({"QueueName": name, "Attributes": attributes}));
        made["QueueUrl"].as_str().expect("a queue has a URL").to_owned()
    }

    pub(crate) fn send(&self, queue: &str, body: &str) {
        self.sqs("SendMessage", &json!({"QueueUrl": queue, "MessageBody": body}));
    }

    /// Lets a bucket tell a queue of new objects.
    pub(crate) fn notify(&self, bucket: &str, queue_name: &str) {
        let text = format!(
            "<NotificationConfiguration><QueueConfiguration><Id>logs</Id>\
             <Queue>arn:aws:sqs:us-east-1:123456789012:{queue_name}</Queue><Event>s3:ObjectCreated:*</Event>\
             </QueueConfiguration></NotificationConfiguration>"
        );
        self.s3("PUT", &format!("/{bucket}?notification"), text.as_bytes());
    }

    /// Messages that can be received, and those that somebody has received and not deleted.
    pub(crate) fn messages(&self, queue: &str) -> (u64, u64) {
        let answer = self.sqs("GetQueueAttributes", &json!({"QueueUrl": queue, "AttributeNames": ["All"]}));
        let number = |name: &str| answer["Attributes"][name].as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
        (number("ApproximateNumberOfMessages"), number("ApproximateNumberOfMessagesNotVisible"))
    }

    /// Waits until a queue has nothing, not even what is being worked on.
    pub(crate) fn wait_until_empty(&self, queue: &str) {
        eventually("the queue is empty", || (self.messages(queue) == (0, 0)).then_some(()));
    }
}

/// The program with credentials that moto takes, and none of this machine's.
pub(crate) fn with_credentials() -> Command {
    let mut command = without_credentials();
    command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
    command
}

/// The program on a machine that has no credentials.
pub(crate) fn without_credentials() -> Command {
    let mut command = rootspan();
    for variable in [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
    ] {
        command.env_remove(variable);
    }
    command
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/nonexistent")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent");
    command
}

/// Starts `rootspan run` with credentials and waits until it listens.
pub(crate) fn start(site: &Site) -> Process {
    let process = Process::spawn(with_credentials().arg("run").arg("--config").arg(site.config()));
    process.wait_until_ready();
    process
}

/// The keys of a receiver that reads from moto. They live as long as the tests.
pub(crate) fn keys(moto: &Moto, more: &str) -> &'static str {
    let url = moto.url();
    let text = format!(", s3: {{endpoint: \"{url}\", force_path_style: true, region: us-east-1, {more}}}");
    Box::leak(text.into_boxed_str())
}

/// Adds a `file_storage` to a site's configuration.
pub(crate) fn add_storage(site: &Site, folder: &Path) {
    let text = std::fs::read_to_string(site.config()).expect("it is there");
    let storage = format!("extensions:\n  file_storage: {{directory: \"{}\"}}\n", folder.display());
    let text = text
        .replace("extensions:\n", &storage)
        .replace("extensions: [health_check, ui]", "extensions: [health_check, ui, file_storage]");
    std::fs::write(site.config(), text).expect("it can be written");
}
