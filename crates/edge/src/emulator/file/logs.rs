//! `logs`: which log goes where.

use std::path::PathBuf;

use super::reader::{Reader, set};
use crate::emulator::delivery::{Bucket, Delivery, Destination, Packing};
use crate::emulator::log_form::{LogForm, V2Format};
use crate::settings::yaml::{Mapping, Node};

const KEYS: [&str; 24] = [
    "form",
    "fields",
    "firehose",
    "access_key",
    "common_attributes",
    "folder",
    "bucket",
    "endpoint",
    "prefix",
    "region",
    "access_key_id",
    "secret_access_key",
    "packing",
    "gzip",
    "delay",
    "repeats",
    "shuffle",
    "max_records",
    "max_bytes",
    "interval",
    "retry_duration",
    "retry_delay",
    "retry_delay_max",
    "response_timeout",
];

impl Reader<'_> {
    pub(super) fn log(&mut self, node: &Node) -> Delivery {
        let mapping = self.mapping(node, &KEYS, "a log");
        let form = self.form(node, &mapping);
        let destination = self.destination(node, &mapping);
        let mut delivery = Delivery::new(form, destination);
        let packings = [
            ("lines", Packing::Lines),
            ("envelopes", Packing::Envelopes { joined: false }),
            ("joined-envelopes", Packing::Envelopes { joined: true }),
        ];
        set(&mut delivery.packing, self.choice(&mapping, "packing", &packings));
        set(&mut delivery.gzip, self.flag(&mapping, "gzip"));
        set(&mut delivery.mishaps.delay, self.duration(&mapping, "delay"));
        set(&mut delivery.mishaps.repeats, self.parsed(&mapping, "repeats", "a number"));
        set(&mut delivery.mishaps.shuffle, self.flag(&mapping, "shuffle"));
        set(&mut delivery.max_records, self.parsed(&mapping, "max_records", "a number"));
        set(&mut delivery.max_bytes, self.size(&mapping, "max_bytes"));
        set(&mut delivery.interval, self.duration(&mapping, "interval"));
        set(&mut delivery.retry_duration, self.duration(&mapping, "retry_duration"));
        set(&mut delivery.retry_delay, self.duration(&mapping, "retry_delay"));
        set(&mut delivery.retry_delay_max, self.duration(&mapping, "retry_delay_max"));
        set(&mut delivery.response_timeout, self.duration(&mapping, "response_timeout"));
        delivery.common_attributes = self.common_attributes(&mapping);
        delivery
    }

    fn form(&mut self, node: &Node, mapping: &Mapping<'_>) -> LogForm {
        let form = self.text(mapping, "form").map(|name| name.parse::<LogForm>());
        let form = match (form, mapping.get("form")) {
            (Some(Ok(form)), _) => form,
            (Some(Err(problem)), Some(node)) => {
                self.problem(node, &problem);
                return LogForm::StandardV1;
            }
            (Some(Err(_)) | None, _) => {
                self.problem(node, "a log needs a form: v2-json, v2-w3c, v2-plain, v1, real-time or functions");
                return LogForm::standard_v2(V2Format::Json);
            }
        };
        let (Some(fields), Some(place)) = (self.names(mapping, "fields"), mapping.get("fields")) else { return form };
        let chosen = match form {
            LogForm::RealTime { .. } => LogForm::RealTime { fields },
            LogForm::StandardV2 { format, .. } => LogForm::StandardV2 { format, fields },
            LogForm::StandardV1 | LogForm::Functions => {
                self.problem(place, "the fields of this log cannot be chosen");
                return form;
            }
        };
        match chosen.checked() {
            Ok(form) => form,
            Err(unknown) => {
                self.problem(place, &unknown.to_string());
                LogForm::StandardV1
            }
        }
    }

    fn destination(&mut self, node: &Node, mapping: &Mapping<'_>) -> Destination {
        let given: Vec<_> =
            ["firehose", "folder", "bucket"].into_iter().filter(|key| mapping.get(key).is_some()).collect();
        if given.len() != 1 {
            self.problem(node, "a log goes to one of firehose, folder, bucket");
        }
        // A key without its destination would be ignored silently.
        let of_others: &[&str] = match given.first() {
            Some(&"firehose") => &["endpoint", "prefix", "region", "access_key_id", "secret_access_key"],
            Some(&"folder") => &[
                "access_key",
                "common_attributes",
                "endpoint",
                "prefix",
                "region",
                "access_key_id",
                "secret_access_key",
            ],
            Some(_) => &["access_key", "common_attributes"],
            None => &[],
        };
        for key in of_others {
            if let Some(node) = mapping.get(key) {
                self.problem(node, &format!("{key} is of no use here"));
            }
        }
        let text = |reader: &mut Self, key: &str| reader.text(mapping, key);
        if let Some(endpoint) = text(self, "firehose") {
            let access_key = text(self, "access_key");
            if access_key.is_none() && mapping.get("access_key").is_none() {
                self.problem(node, "firehose needs an access_key");
            }
            return Destination::Firehose { endpoint, access_key: access_key.unwrap_or_default() };
        }
        let Some(name) = text(self, "bucket") else {
            return Destination::Folder(text(self, "folder").map(PathBuf::from).unwrap_or_default());
        };
        let mut needed = |key: &str| {
            let value = self.text(mapping, key);
            if mapping.get(key).is_none() {
                self.problem(node, &format!("a bucket needs {key}"));
            }
            value.unwrap_or_default()
        };
        let (endpoint, access_key_id) = (needed("endpoint"), needed("access_key_id"));
        let secret_access_key = needed("secret_access_key");
        Destination::Bucket(Bucket {
            endpoint,
            name,
            prefix: self.text(mapping, "prefix").unwrap_or_default(),
            region: self.text(mapping, "region").unwrap_or_else(|| "us-east-1".to_owned()),
            access_key_id,
            secret_access_key,
        })
    }

    fn common_attributes(&mut self, mapping: &Mapping<'_>) -> Vec<(String, String)> {
        let Some(node) = mapping.get("common_attributes") else { return Vec::new() };
        let Some(attributes) = node.mapping() else {
            self.problem(node, "common_attributes must be a mapping");
            return Vec::new();
        };
        let pair = |(name, value): &(Node, Node)| Some((name.text()?.to_owned(), value.text()?.to_owned()));
        let pairs: Vec<_> = attributes.entries.iter().filter_map(pair).collect();
        if pairs.len() != attributes.entries.len() {
            self.problem(node, "common_attributes have texts only");
        }
        pairs
    }
}
