//! Attributes of spans by what they do; about fifteen each.

use rootspan_wire::otlp::field::span::ATTRIBUTES;
use rootspan_wire::otlp::write::{Value, put_attribute};

use super::{Plan, Request, Role};
use crate::generate::vocabulary::{COUNTRIES, EDGE_LOCATIONS, SERVICES, USER_AGENTS};
use crate::random::Random;

/// Appends attributes.
struct Attributes<'o>(&'o mut Vec<u8>);

impl Attributes<'_> {
    fn put<'a>(&mut self, key: &str, value: impl Into<Value<'a>>) {
        put_attribute(self.0, ATTRIBUTES, key, value);
    }

    fn put_text(&mut self, key: &str, value: std::fmt::Arguments<'_>) {
        self.put(key, &value.to_string());
    }
}

impl Plan {
    pub(super) fn put_attributes(&self, out: &mut Vec<u8>, random: &mut Random, request: &Request) {
        let mut out = Attributes(out);
        match self.role {
            Role::Edge => self.put_edge(&mut out, random, request),
            Role::Proxy => self.put_proxy(&mut out, random, request),
            Role::Serve => self.put_server(&mut out, random, request),
            Role::Call { callee } => self.put_call(&mut out, random, SERVICES[callee]),
            Role::Query { table } => self.put_query(&mut out, random, request, table),
            Role::Cache => self.put_cache(&mut out, random, request),
            Role::Step => self.put_step(&mut out, random, request),
        }
    }

    fn put_edge(&self, out: &mut Attributes<'_>, random: &mut Random, request: &Request) {
        let seconds = self.duration as f64 / 1e9;
        let round = |seconds: f64| (seconds * 1e3).round() / 1e3;
        let place = random.between(0, EDGE_LOCATIONS.len() as u64) as usize;
        let result = if self.is_error { "Error" } else { random.pick(&["Miss", "Miss", "Miss", "RefreshHit"]) };
        out.put("http.request.method", request.method);
        out.put("url.scheme", "https");
        out.put("url.path", &request.path);
        out.put("url.query", &request.query);
        out.put("http.response.status_code", request.status);
        out.put("server.address", "shop.example.com");
        out.put("user_agent.original", random.pick(&USER_AGENTS));
        out.put("client.address", &request.client);
        out.put("network.protocol.version", if random.chance(0.7) { "2" } else { "3" });
        out.put("http.response.size", random.log_normal(6e3, 1.2) as i64);
        out.put("geo.country.iso_code", COUNTRIES[place]);
        let id = format_args!("{:016x}{:016x}{:08x}==", random.bits(), random.bits(), random.bits() >> 32).to_string();
        out.put("aws.cloudfront.request_id", &id);
        out.put("aws.cloudfront.edge_location", EDGE_LOCATIONS[place]);
        out.put("aws.cloudfront.result_type", result);
        out.put("aws.cloudfront.cache_behavior", "/api/*");
        out.put("aws.cloudfront.time_taken", round(seconds));
        out.put("aws.cloudfront.time_to_first_byte", round(seconds * 0.94));
        out.put("aws.cloudfront.origin_first_byte_latency", round(seconds * 0.92));
        out.put("aws.cloudfront.origin_last_byte_latency", round(seconds * 0.95));
    }

    fn put_proxy(&self, out: &mut Attributes<'_>, random: &mut Random, request: &Request) {
        out.put("http.request.method", request.method);
        out.put("url.scheme", "http");
        out.put("url.path", &request.path);
        out.put("url.query", &request.query);
        out.put("http.route", request.route);
        out.put("http.response.status_code", request.status);
        out.put("server.address", "origin.shop.example.com");
        out.put("user_agent.original", "Amazon CloudFront");
        out.put("client.address", &request.client);
        out.put_text(
            "network.peer.address",
            format_args!("130.176.{}.{}", random.between(0, 60), random.between(1, 255)),
        );
        out.put_text(
            "nginx.upstream.address",
            format_args!("10.12.{}.{}:8080", random.between(0, 4), random.between(1, 200)),
        );
        out.put("nginx.request_time", (self.duration as f64 / 1e6).round() / 1e3);
        out.put("nginx.cache_status", "MISS");
        out.put("http.response.size", random.log_normal(6e3, 1.2) as i64);
        out.put_text("nginx.connection", format_args!("{}", random.between(1_000_000, 90_000_000)));
    }

    fn put_server(&self, out: &mut Attributes<'_>, random: &mut Random, request: &Request) {
        let is_entry = self.operation.is_empty();
        let name = self.origin.name();
        let internal = format!("/internal/{name}/{}", self.operation);
        let route = if is_entry { request.route } else { &internal };
        out.put("http.request.method", if is_entry { request.method } else { "POST" });
        out.put("url.scheme", "http");
        out.put("url.path", if is_entry { &request.path } else { &internal });
        out.put("http.route", route);
        out.put("http.response.status_code", if self.is_error { 500 } else { 200 });
        out.put_text("server.address", format_args!("{name}.shop.svc"));
        out.put("server.port", 8080);
        out.put_text("network.peer.address", format_args!("10.12.{}.{}", random.between(0, 4), random.between(1, 200)));
        out.put("network.peer.port", random.between(30_000, 60_000) as i64);
        out.put("network.protocol.version", "1.1");
        out.put_text("thread.name", format_args!("http-nio-8080-exec-{}", random.between(1, 65)));
        out.put("thread.id", random.between(20, 90) as i64);
        out.put("user.id", &request.user);
        out.put("session.id", &request.session);
        out.put("feature_flag.result.variant", if random.chance(0.5) { "control" } else { "treatment-b" });
    }

    fn put_call(&self, out: &mut Attributes<'_>, random: &mut Random, callee: &str) {
        let host = format!("{callee}.shop.svc");
        out.put("http.request.method", "POST");
        out.put_text("url.full", format_args!("http://{host}:8080/internal/{callee}/{}", self.operation));
        out.put("server.address", &host);
        out.put("server.port", 8080);
        out.put("http.response.status_code", if self.is_error { 500 } else { 200 });
        out.put("peer.service", callee);
        out.put("network.protocol.version", "1.1");
        out.put("http.request.resend_count", 0);
        self.put_thread(out, random);
        out.put("http.request.body.size", random.log_normal(400.0, 1.0) as i64);
        out.put("http.response.body.size", random.log_normal(1100.0, 1.2) as i64);
        out.put_text("app.correlation.id", format_args!("{:016x}{:016x}", random.bits(), random.bits()));
        out.put("app.circuit_breaker.state", "closed");
        out.put("app.pool.wait_ms", random.unit());
    }

    fn put_query(&self, out: &mut Attributes<'_>, random: &mut Random, request: &Request, table: &str) {
        let kind = self.statement_kind();
        let text = match kind {
            "UPDATE" => format!("UPDATE {table} SET payload = $1, updated_at = now() WHERE tenant_id = $2 AND id = $3"),
            "INSERT" => format!("INSERT INTO {table} (id, tenant_id, payload, created_at) VALUES ($1, $2, $3, now())"),
            _ => format!(
                "SELECT t.id, t.created_at, t.updated_at, t.payload FROM {table} t WHERE t.tenant_id = $1 AND t.id = $2 LIMIT 20"
            ),
        };
        let name = self.origin.name();
        out.put("db.system.name", "postgresql");
        out.put_text("db.namespace", format_args!("{name}_production"));
        out.put("db.operation.name", kind);
        out.put("db.collection.name", table);
        out.put("db.query.text", &text);
        out.put_text("db.query.parameter.id", format_args!("{}", random.between(1000, 9_999_999)));
        out.put_text("server.address", format_args!("pg-{}.shop.internal", self.origin.service % 4));
        out.put("server.port", 5432);
        out.put_text("network.peer.address", format_args!("10.12.9.{}", 10 + self.origin.service % 4));
        out.put("db.response.returned_rows", random.between(0, 60) as i64);
        out.put("db.client.connection.pool.name", "HikariPool-1");
        self.put_thread(out, random);
        out.put("user.id", &request.user);
        out.put("app.transaction.read_only", kind == "SELECT");
    }

    fn put_cache(&self, out: &mut Attributes<'_>, random: &mut Random, request: &Request) {
        let key = format!("{}:{}:{}", self.origin.name(), self.operation, random.between(1000, 9_999_999));
        out.put("db.system.name", "redis");
        out.put("db.operation.name", "GET");
        out.put_text("db.query.text", format_args!("GET {key}"));
        out.put("db.namespace", "0");
        out.put("server.address", "redis-main.shop.internal");
        out.put("server.port", 6379);
        out.put("network.peer.address", "10.12.9.30");
        out.put("app.cache.key", &key);
        out.put("app.cache.hit", random.chance(0.8));
        out.put("app.cache.item_size", random.log_normal(1100.0, 1.0) as i64);
        self.put_thread(out, random);
        out.put("user.id", &request.user);
        out.put("session.id", &request.session);
        out.put("app.region", "eu-central-1");
    }

    fn put_step(&self, out: &mut Attributes<'_>, random: &mut Random, request: &Request) {
        let name = self.origin.name();
        out.put_text("code.function.name", format_args!("com.shop.{name}.core.{}Step.apply", self.operation));
        out.put("code.line.number", random.between(10, 900) as i64);
        out.put_text("app.tenant.id", format_args!("t-{:03}", random.between(0, 120)));
        out.put("app.order.total", (random.log_normal(55.0, 1.0) * 100.0).round() / 100.0);
        out.put("app.order.currency", "EUR");
        out.put("app.batch.size", random.between(1, 50) as i64);
        out.put("app.retry.count", 0);
        self.put_thread(out, random);
        out.put("feature_flag.result.variant", if random.chance(0.5) { "control" } else { "treatment-b" });
        out.put("user.id", &request.user);
        out.put("session.id", &request.session);
        out.put_text("app.correlation.id", format_args!("{:016x}{:016x}", random.bits(), random.bits()));
        out.put("app.dry_run", false);
    }

    fn put_thread(&self, out: &mut Attributes<'_>, random: &mut Random) {
        out.put_text("thread.name", format_args!("{}-worker-{}", self.origin.name(), random.between(1, 33)));
        out.put("thread.id", random.between(20, 90) as i64);
    }
}
