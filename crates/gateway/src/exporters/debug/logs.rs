//! Logs as text.

use rootspan_wire::otlp::raw::RawMessage;

use super::{
    Surroundings, Verbosity, attributes_text, hexadecimal, line, print_attributes, service_of, typed_text, value_text,
};

/// The fields of `LogRecord`.
mod field {
    pub(super) const TIME: u32 = 1;
    pub(super) const SEVERITY_NUMBER: u32 = 2;
    pub(super) const SEVERITY_TEXT: u32 = 3;
    pub(super) const BODY: u32 = 5;
    pub(super) const ATTRIBUTES: u32 = 6;
    pub(super) const FLAGS: u32 = 8;
    pub(super) const TRACE_ID: u32 = 9;
    pub(super) const SPAN_ID: u32 = 10;
    pub(super) const OBSERVED_TIME: u32 = 11;
    pub(super) const EVENT_NAME: u32 = 12;
}

/// A batch of so many records as text.
pub(super) fn print(id: &str, verbosity: Verbosity, request: &[u8], records: usize) -> String {
    let mut text = String::new();
    let request = RawMessage::new(request);
    let resources = request.messages(1).count();
    line(&mut text, 0, format_args!("{id}: logs, resource logs: {resources}, log records: {records}"));
    if verbosity == Verbosity::Basic {
        return text;
    }
    let surroundings = Surroundings { kind: "Logs" };
    for (number, resource_logs) in request.messages(1).enumerate() {
        if verbosity == Verbosity::Detailed {
            surroundings.print_resource(&mut text, number, resource_logs);
        }
        for (number, scope_logs) in resource_logs.messages(2).enumerate() {
            if verbosity == Verbosity::Detailed {
                surroundings.print_scope(&mut text, number, scope_logs);
            }
            for (number, record) in scope_logs.messages(2).enumerate() {
                match verbosity {
                    Verbosity::Detailed => print_record(&mut text, number, record),
                    Verbosity::Basic | Verbosity::Normal => print_line(&mut text, resource_logs, record),
                }
            }
        }
    }
    text
}

/// `service SEVERITY body key=value …`
fn print_line(text: &mut String, resource_logs: RawMessage<'_>, record: RawMessage<'_>) {
    let severity = match record.text(field::SEVERITY_TEXT) {
        "" => severity_name(record.number(field::SEVERITY_NUMBER)),
        own => own.to_owned(),
    };
    let body = record.any_value(field::BODY).map(|body| value_text(&body)).unwrap_or_default();
    let attributes = attributes_text(record.attributes(field::ATTRIBUTES));
    line(text, 0, format_args!("{} {severity} {body}{attributes}", service_of(resource_logs)));
}

fn print_record(text: &mut String, number: usize, record: RawMessage<'_>) {
    line(text, 0, format_args!("LogRecord #{number}"));
    line(text, 0, format_args!("ObservedTimestamp: {}", record.number(field::OBSERVED_TIME)));
    line(text, 0, format_args!("Timestamp: {}", record.number(field::TIME)));
    line(text, 0, format_args!("SeverityText: {}", record.text(field::SEVERITY_TEXT)));
    let severity = record.number(field::SEVERITY_NUMBER);
    line(text, 0, format_args!("SeverityNumber: {}({severity})", severity_name(severity)));
    if !record.text(field::EVENT_NAME).is_empty() {
        line(text, 0, format_args!("EventName: {}", record.text(field::EVENT_NAME)));
    }
    let body = record.any_value(field::BODY).map_or_else(|| "Empty()".to_owned(), |body| typed_text(&body));
    line(text, 0, format_args!("Body: {body}"));
    print_attributes(text, "Attributes:", 0, record.attributes(field::ATTRIBUTES));
    line(text, 0, format_args!("Trace ID: {}", hexadecimal(record.bytes(field::TRACE_ID))));
    line(text, 0, format_args!("Span ID: {}", hexadecimal(record.bytes(field::SPAN_ID))));
    line(text, 0, format_args!("Flags: {}", record.number(field::FLAGS)));
}

/// `Info2` for 10: four degrees of each.
fn severity_name(number: u64) -> String {
    let Some(index) = number.checked_sub(1).filter(|index| *index < 24) else { return "Unspecified".to_owned() };
    let name = ["Trace", "Debug", "Info", "Warn", "Error", "Fatal"][(index / 4) as usize];
    match index % 4 {
        0 => name.to_owned(),
        degree => format!("{name}{}", degree + 1),
    }
}
