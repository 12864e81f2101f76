//! The spans of one trace: CloudFront → nginx → a service → its calls, databases, caches and own work.

use rootspan_model::ids::{SpanId, TraceId};
use rootspan_model::span::{SpanKind, StatusCode};
use rootspan_model::time::UnixNanos;
use rootspan_wire::otlp::field;
use rootspan_wire::otlp::write::{SpanParts, put_attribute, put_event, put_span};

use super::vocabulary::{LANGUAGES, OPERATIONS, ROUTES, SERVICES, TABLES};
use super::{MARKER, MARKER_EVERY, Marker, Sample, Truth};
use crate::random::Random;

mod attributes;

const EDGE: usize = 0;
const PROXY: usize = 1;

/// Share of traces that fail; three of their nine spans do, which makes 2.8 % of all spans.
const ERROR_TRACES: f64 = 0.087;

/// Which service, and which of its instances, a span is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Origin {
    service: usize,
    instance: u64,
}

impl Origin {
    pub(super) const fn is_edge(self) -> bool {
        self.service == EDGE
    }

    const fn name(self) -> &'static str {
        SERVICES[self.service]
    }

    /// Name and version of the instrumentation scope.
    pub(super) const fn scope(self) -> (&'static str, &'static str) {
        match self.service {
            EDGE => ("rootspan/cloudfront", "0.1.0"),
            PROXY => ("nginx", "1.28.0"),
            _ => ("io.opentelemetry.http-server", "2.20.1"),
        }
    }

    pub(super) fn resource_attributes(self) -> Vec<(&'static str, String)> {
        let name = self.name();
        // Any function of the instance: the same one always has the same attributes.
        let hash = (self.service as u64 * 31 + self.instance + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut attributes = vec![
            ("service.name", name.to_owned()),
            ("service.namespace", "shop".to_owned()),
            ("service.version", format!("{}.{}.{}", 1 + hash % 4, hash / 7 % 20, hash / 131 % 10)),
            ("deployment.environment.name", "production".to_owned()),
            ("cloud.provider", "aws".to_owned()),
        ];
        if self.is_edge() {
            attributes.push(("cloud.account.id", "111122223333".to_owned()));
            return attributes;
        }
        let language = if self.service == PROXY { "cpp" } else { LANGUAGES[self.service % LANGUAGES.len()] };
        attributes.extend([
            ("cloud.region", "eu-central-1".to_owned()),
            ("k8s.namespace.name", "shop-production".to_owned()),
            ("k8s.deployment.name", name.to_owned()),
            ("k8s.pod.name", format!("{name}-{:08x}-{:05x}", hash >> 32, hash & 0xf_ffff)),
            ("k8s.node.name", format!("ip-10-12-{}-{}.eu-central-1.compute.internal", hash % 4, hash / 5 % 200)),
            ("telemetry.sdk.language", language.to_owned()),
            ("telemetry.sdk.version", "1.55.0".to_owned()),
        ]);
        attributes
    }
}

/// A span, encoded as a field of its scope.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GeneratedSpan {
    pub(super) end: u64,
    pub(super) origin: Origin,
    pub(super) bytes: Vec<u8>,
}

/// What a span does, and so which attributes it has.
#[derive(Clone, Copy, Debug)]
enum Role {
    /// CloudFront's span of the viewer.
    Edge,
    /// nginx.
    Proxy,
    /// Serves the route, or a call within the shop.
    Serve,
    /// Calls another service.
    Call { callee: usize },
    /// PostgreSQL.
    Query { table: &'static str },
    /// Redis.
    Cache,
    /// Work of its own.
    Step,
}

/// A span before it is written.
struct Plan {
    role: Role,
    origin: Origin,
    span_id: u64,
    parent_span_id: u64,
    start: u64,
    duration: u64,
    operation: &'static str,
    is_error: bool,
}

/// What all spans of a trace have in common.
struct Request {
    trace_id: TraceId,
    method: &'static str,
    route: &'static str,
    path: String,
    query: String,
    user: String,
    session: String,
    client: String,
    status: u16,
}

/// Makes one trace after the other.
#[derive(Debug)]
pub(super) struct TraceMaker {
    random: Random,
}

impl TraceMaker {
    pub(super) const fn new(random: Random) -> Self {
        Self { random }
    }

    /// A trace of about nine spans, at most `most`, and its part of the truth.
    pub(super) fn make(&mut self, start: UnixNanos, most: u64, truth: &mut Truth) -> Vec<GeneratedSpan> {
        let random = &mut self.random;
        // Squared: the first routes are the popular ones.
        let popularity = random.unit() * random.unit();
        let (method, route, service) = ROUTES[(popularity * ROUTES.len() as f64) as usize];
        let is_error = random.chance(ERROR_TRACES);
        let request = Request::new(random, method, route, is_error);
        let wanted = random.between(4, 15).min(most);
        let duration = random.log_normal(9e7, 0.8).clamp(3e6, 2.5e10) as u64;
        let mut plans = plan_trace(random, start.0, duration, service, wanted as usize);
        if is_error {
            mark_errors(&mut plans);
        }
        self.write(&request, &plans, truth)
    }

    fn write(&mut self, request: &Request, plans: &[Plan], truth: &mut Truth) -> Vec<GeneratedSpan> {
        let errors = plans.iter().filter(|plan| plan.is_error).count() as u64;
        truth.traces += 1;
        truth.errors += errors;
        truth.error_traces += u64::from(errors > 0);
        let mut spans = Vec::with_capacity(plans.len());
        for plan in plans {
            let marker = (truth.spans % MARKER_EVERY == MARKER_EVERY / 2).then(|| format!("needle-{}", truth.spans));
            truth.spans += 1;
            *truth.service_spans.entry(plan.origin.name()).or_default() += 1;
            let mut bytes = Vec::with_capacity(1024);
            plan.write(&mut bytes, &mut self.random, request, marker.as_deref());
            if let Some(value) = marker {
                let span_id = SpanId::new(plan.span_id.to_be_bytes());
                truth.markers.push(Marker { trace_id: request.trace_id, span_id, value });
            }
            spans.push(GeneratedSpan { end: plan.start + plan.duration, origin: plan.origin, bytes });
        }
        if let Some(root) = plans.first()
            && truth.traces % 100 == 1
        {
            truth.samples.push(Sample {
                trace_id: request.trace_id,
                spans: plans.len() as u64,
                errors,
                start: UnixNanos(root.start),
                duration_nanos: root.duration,
                root_name: root.name(request),
            });
        }
        spans
    }
}

impl Request {
    fn new(random: &mut Random, method: &'static str, route: &'static str, is_error: bool) -> Self {
        let mut trace_id = [0; 16];
        trace_id[..8].copy_from_slice(&random.id().to_be_bytes());
        trace_id[8..].copy_from_slice(&random.id().to_be_bytes());
        let mut path = route.to_owned();
        while path.contains("{id}") {
            path = path.replacen("{id}", &random.between(1000, 9_999_999).to_string(), 1);
        }
        let query = match random.between(0, 4) {
            0 => format!("page={}&size=24&sort=price", random.between(1, 40)),
            1 => format!("q={}+{}&lang=de", random.pick(&TABLES), random.pick(&OPERATIONS)),
            2 => format!("utm_campaign=autumn{}&ref={:06x}", random.between(1, 30), random.bits() & 0xff_ffff),
            _ => String::new(),
        };
        let status = match (is_error, random.chance(0.04)) {
            (true, _) => random.pick(&[500, 502, 503, 504]),
            (false, true) => 404,
            (false, false) => 200,
        };
        Self {
            trace_id: TraceId::new(trace_id),
            method,
            route,
            path,
            query,
            user: format!("u-{:07}", random.between(0, 400_000)),
            session: format!("{:016x}", random.bits()),
            client: format!("{}.{}.{}.0", random.between(11, 220), random.between(0, 256), random.between(0, 256)),
            status,
        }
    }
}

/// Plans `wanted` spans, parents before children, children within their parents.
fn plan_trace(random: &mut Random, start: u64, duration: u64, service: usize, wanted: usize) -> Vec<Plan> {
    let mut plans: Vec<Plan> = Vec::with_capacity(wanted + 1);
    let chain = [(Role::Edge, EDGE), (Role::Proxy, PROXY), (Role::Serve, service)];
    for (level, (role, service)) in chain.into_iter().take(wanted).enumerate() {
        let level = level as u64;
        plans.push(Plan {
            role,
            origin: Origin { service, instance: if service == EDGE { 0 } else { random.between(0, 3) } },
            span_id: random.id(),
            parent_span_id: plans.last().map_or(0, |parent| parent.span_id),
            start: start + duration / 50 * level,
            duration: duration - duration / 25 * level,
            operation: "",
            is_error: false,
        });
    }
    while plans.len() < wanted {
        let servers: Vec<usize> = (2..plans.len()).filter(|&index| matches!(plans[index].role, Role::Serve)).collect();
        let parent = random.pick(&servers);
        let role = match random.between(0, 10) {
            0..=3 if plans.len() + 2 <= wanted => {
                Role::Call { callee: random.between(2, SERVICES.len() as u64) as usize }
            }
            0..=6 => Role::Query { table: random.pick(&TABLES) },
            7 => Role::Cache,
            _ => Role::Step,
        };
        let call = plan_child(random, &plans[parent], role);
        if let Role::Call { callee } = role {
            let mut served = plan_child(random, &call, Role::Serve);
            served.origin = Origin { service: callee, instance: random.between(0, 3) };
            served.start = call.start + call.duration / 40;
            served.duration = call.duration - call.duration / 20;
            served.operation = call.operation;
            plans.push(call);
            plans.push(served);
        } else {
            plans.push(call);
        }
    }
    plans
}

fn plan_child(random: &mut Random, parent: &Plan, role: Role) -> Plan {
    let offset = (parent.duration as f64 * 0.5 * random.unit()) as u64;
    let typical = match role {
        Role::Query { .. } => random.log_normal(3e6, 0.9),
        Role::Cache => random.log_normal(4e5, 0.6),
        _ => parent.duration as f64 * (0.1 + 0.4 * random.unit()),
    };
    Plan {
        role,
        origin: parent.origin,
        span_id: random.id(),
        parent_span_id: parent.span_id,
        start: parent.start + offset,
        duration: (typical as u64).clamp(1, parent.duration - offset),
        operation: random.pick(&OPERATIONS),
        is_error: false,
    }
}

/// The root, the service that served it and the last span failed, or as many of them as there are.
fn mark_errors(plans: &mut [Plan]) {
    let last = plans.len() - 1;
    for index in [0, 2, last] {
        if let Some(plan) = plans.get_mut(index) {
            plan.is_error = true;
        }
    }
}

impl Plan {
    fn name(&self, request: &Request) -> String {
        match self.role {
            Role::Edge | Role::Proxy => format!("{} {}", request.method, request.route),
            Role::Serve if self.operation.is_empty() => format!("{} {}", request.method, request.route),
            Role::Serve => format!("POST /internal/{}/{}", self.origin.name(), self.operation),
            Role::Call { callee } => format!("POST {}", SERVICES[callee]),
            Role::Query { table } => format!("{} {table}", self.statement_kind()),
            Role::Cache => "GET".to_owned(),
            Role::Step => format!("{}.{}", self.origin.name(), self.operation),
        }
    }

    fn statement_kind(&self) -> &'static str {
        match self.span_id % 5 {
            0 => "UPDATE",
            1 => "INSERT",
            _ => "SELECT",
        }
    }

    const fn kind(&self) -> SpanKind {
        match self.role {
            Role::Edge | Role::Proxy | Role::Serve => SpanKind::Server,
            Role::Call { .. } | Role::Query { .. } | Role::Cache => SpanKind::Client,
            Role::Step => SpanKind::Internal,
        }
    }

    fn write(&self, out: &mut Vec<u8>, random: &mut Random, request: &Request, marker: Option<&str>) {
        let name = self.name(request);
        let message = format!("request {:08x} failed in {}", request.trace_id.as_bytes()[3], self.origin.name());
        let is_backend = self.origin.service > PROXY;
        let parts = SpanParts {
            trace_id: request.trace_id,
            span_id: SpanId::new(self.span_id.to_be_bytes()),
            parent_span_id: SpanId::new(self.parent_span_id.to_be_bytes()),
            trace_state: "",
            flags: 0x103,
            name: &name,
            kind: self.kind(),
            start: UnixNanos(self.start),
            end: UnixNanos(self.start + self.duration),
            status: if self.is_error { StatusCode::Error } else { StatusCode::Unset },
            status_message: if self.is_error && is_backend { &message } else { "" },
        };
        put_span(out, &parts, |out| {
            self.put_attributes(out, random, request);
            if let Some(marker) = marker {
                put_attribute(out, field::span::ATTRIBUTES, MARKER, marker);
            }
            if self.is_error && is_backend {
                self.put_exception(out, random, &message);
            }
        });
    }

    fn put_exception(&self, out: &mut Vec<u8>, random: &mut Random, message: &str) {
        let class = random.pick(&super::vocabulary::EXCEPTIONS);
        let mut trace = format!("{class}: {message}\n");
        for step in 0..12 {
            let (name, operation) = (self.origin.name(), random.pick(&OPERATIONS));
            trace.push_str(&format!("\tat com.shop.{name}.{operation}(Service.java:{})\n", 40 + step * 17));
        }
        put_event(out, UnixNanos(self.start + self.duration / 10 * 9), "exception", |out| {
            put_attribute(out, field::event::ATTRIBUTES, "exception.type", class);
            put_attribute(out, field::event::ATTRIBUTES, "exception.message", message);
            put_attribute(out, field::event::ATTRIBUTES, "exception.stacktrace", &trace);
        });
    }
}
