//! Edge functions on their events: what they are shown, what of their result holds, and what is logged of them.

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, HeaderValue};
use http::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};

use super::super::clock::unix_millis;
use super::super::config::{Config, Function, Runtime, StartError};
use super::super::delivery::LogLine;
use super::super::event::{
    self, ChangedRequest, ChangedResponse, GeneratedResponse, Verdict, ViewerRequest, error_page,
};
use super::super::exchange::Exchange;
use super::super::headers::EventType;
use super::super::lambda::{Invoked, Lambda};
use super::super::lambda_event::{self, EdgeRequest, EdgeVerdict};
use super::super::ledger::ResultType;
use super::super::random::Random;
use super::super::record::{SERVER_IP, date_and_time};
use super::super::sandbox::{Called, FunctionCode, FunctionError, Invocation};
use super::{Distribution, Ended, Reply, ReplyBody, Visit, generated};

/// The functions of the distribution, ready to run.
#[derive(Debug, Default)]
pub(crate) struct Attached {
    viewer_request: Option<Ready>,
    origin_request: Option<Ready>,
    origin_response: Option<Ready>,
    viewer_response: Option<Ready>,
}

#[derive(Debug)]
enum Ready {
    CloudFront(CloudFrontFunction),
    Lambda(Arc<Lambda>),
}

#[derive(Debug)]
struct CloudFrontFunction {
    code: FunctionCode,
    name: String,
    /// The stream in CloudWatch Logs.
    stream: String,
}

impl Attached {
    /// Checks and loads all functions.
    pub(crate) async fn start(config: &Config, random: &Arc<Random>) -> Result<Self, StartError> {
        config.functions.check()?;
        let mut attached = Self::default();
        for event in EventType::ALL {
            let Some(function) = config.functions.of(event) else { continue };
            let ready = Ready::start(function, event, config, random).await?;
            *match event {
                EventType::ViewerRequest => &mut attached.viewer_request,
                EventType::OriginRequest => &mut attached.origin_request,
                EventType::OriginResponse => &mut attached.origin_response,
                EventType::ViewerResponse => &mut attached.viewer_response,
            } = Some(ready);
        }
        Ok(attached)
    }

    /// The Lambda@Edge function of an origin event.
    fn at_origin(&self, event: EventType) -> Option<&Arc<Lambda>> {
        let ready = if event == EventType::OriginRequest { &self.origin_request } else { &self.origin_response };
        match ready {
            Some(Ready::Lambda(lambda)) => Some(lambda),
            Some(Ready::CloudFront(_)) | None => None,
        }
    }
}

impl Ready {
    async fn start(
        function: &Function,
        event: EventType,
        config: &Config,
        random: &Arc<Random>,
    ) -> Result<Self, StartError> {
        if function.runtime == Runtime::CloudFront {
            let code = FunctionCode::new(&function.code).map_err(|source| StartError::Function { event, source })?;
            let (date, _) = date_and_time(unix_millis());
            let stream = format!("{}/{}", date.replace("-0", "-").replace('-', "/"), random.uuid());
            return Ok(Self::CloudFront(CloudFrontFunction { code, name: function.name.clone(), stream }));
        }
        let lambda = Lambda::start(function, event, config, Arc::clone(random)).await;
        lambda.map(|lambda| Self::Lambda(Arc::new(lambda))).map_err(|source| StartError::Lambda { event, source })
    }
}

/// The call of an origin event, in either direction.
pub(super) struct AtOrigin<'a> {
    pub(super) origin: &'a Uri,
    pub(super) request: &'a ChangedRequest,
    pub(super) is_query_visible: bool,
}

impl Distribution {
    /// Runs viewer-request; the request as it is afterwards, or the response that ends it here.
    pub(super) async fn viewer_request(&self, exchange: &mut Exchange, visit: &Visit<'_>) -> Ended<ChangedRequest> {
        let parts = visit.parts;
        let unchanged = || ChangedRequest {
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            headers: parts.headers.clone(),
        };
        let function = self.functions.viewer_request.as_ref().filter(|_| visit.route.behavior.runs_functions);
        let verdict = match function {
            None => return Ok(unchanged()),
            Some(Ready::CloudFront(function)) => {
                let request_id = exchange.record.request_id.clone();
                let seen = self.seen(visit, &request_id, parts.uri.path(), parts.uri.query(), &parts.headers);
                let event = event::viewer_request(&seen);
                let called = self.call(function, exchange, &event, seen.query, self.edge_location()).await?;
                event::read_returned(&seen, &event, called.as_ref())
            }
            Some(Ready::Lambda(lambda)) => {
                let (id, ip) = (exchange.record.request_id.clone(), visit.viewer.ip().to_string());
                let request = unchanged();
                let seen = self.edge_request(EventType::ViewerRequest, visit, &request, &id, &ip, None);
                let event = lambda_event::event(&seen, None);
                let returned = self.invoke(lambda, exchange, event.clone()).await?;
                lambda_event::read_request(&seen, &event, &returned).map(|verdict| match verdict {
                    EdgeVerdict::Forward(changed, _) => Verdict::Forward(changed),
                    EdgeVerdict::Respond(response) => Verdict::Respond(response),
                })
            }
        };
        let is_lambda = matches!(function, Some(Ready::Lambda(_)));
        match verdict {
            Ok(Verdict::Forward(changed)) => Ok(changed),
            Ok(Verdict::Respond(response)) => Err(Box::new(made_by_function(response, is_lambda))),
            Err(problem) => Err(Box::new(invalid(exchange, is_lambda, &problem))),
        }
    }

    /// Runs origin-request: the request and the origin as they are afterwards, or a response instead.
    pub(super) async fn origin_request(
        &self,
        exchange: &mut Exchange,
        visit: &Visit<'_>,
        at: &AtOrigin<'_>,
    ) -> Ended<(ChangedRequest, Option<Uri>)> {
        let lambda = self.functions.at_origin(EventType::OriginRequest).filter(|_| visit.route.behavior.runs_functions);
        let Some(lambda) = lambda else { return Ok((at.request.clone(), None)) };
        let (id, ip) = (exchange.record.request_id.clone(), visit.viewer.ip().to_string());
        let seen = self.edge_request(EventType::OriginRequest, visit, at.request, &id, &ip, Some(at));
        let event = lambda_event::event(&seen, None);
        let returned = self.invoke(lambda, exchange, event.clone()).await?;
        match lambda_event::read_request(&seen, &event, &returned) {
            Ok(EdgeVerdict::Forward(mut changed, origin)) => {
                // A query that the function did not see is not the function's to remove.
                if !at.is_query_visible && changed.query.is_empty() {
                    changed.query.clone_from(&at.request.query);
                }
                Ok((changed, origin))
            }
            Ok(EdgeVerdict::Respond(response)) => {
                let mut reply = made_by_function(response, true);
                reply.skips_viewer_response = reply.status.as_u16() >= 400;
                Err(Box::new(reply))
            }
            Err(problem) => Err(Box::new(invalid(exchange, true, &problem))),
        }
    }

    /// Runs origin-response, also for errors: status, headers and body as they are afterwards.
    pub(super) async fn origin_response(
        &self,
        exchange: &mut Exchange,
        visit: &Visit<'_>,
        at: &AtOrigin<'_>,
        (status, headers): (StatusCode, &HeaderMap),
    ) -> Ended<Option<ChangedResponse>> {
        let lambda =
            self.functions.at_origin(EventType::OriginResponse).filter(|_| visit.route.behavior.runs_functions);
        let Some(lambda) = lambda else { return Ok(None) };
        let (id, ip) = (exchange.record.request_id.clone(), visit.viewer.ip().to_string());
        let seen = self.edge_request(EventType::OriginResponse, visit, at.request, &id, &ip, Some(at));
        let event = lambda_event::event(&seen, Some((status, headers)));
        let returned = self.invoke(lambda, exchange, event.clone()).await?;
        match lambda_event::read_response(EventType::OriginResponse, &event, &returned) {
            Ok(changed) => Ok(Some(changed)),
            Err(problem) => Err(Box::new(invalid(exchange, true, &problem))),
        }
    }

    /// Runs viewer-response where CloudFront does: not for errors, error pages, redirects of its own and what a
    /// viewer-request function answered.
    pub(super) async fn viewer_response(
        &self,
        exchange: &mut Exchange,
        visit: &Visit<'_>,
        request: &ChangedRequest,
        reply: Reply,
    ) -> Reply {
        let function = self.functions.viewer_response.as_ref().filter(|_| visit.route.behavior.runs_functions);
        let Some(function) = function.filter(|_| !reply.skips_viewer_response && reply.status.as_u16() < 400) else {
            return reply;
        };
        let changed = match function {
            Ready::CloudFront(function) => {
                let request_id = exchange.record.request_id.clone();
                let seen = self.seen(visit, &request_id, &request.path, Some(&request.query), &request.headers);
                let event = event::viewer_response(&seen, reply.status, &reply.headers);
                match self.call(function, exchange, &event, seen.query, "{}".to_owned()).await {
                    Ok(returned) => event::read_response(&reply.headers, &event, returned.as_ref()),
                    Err(failed) => return *failed,
                }
            }
            Ready::Lambda(lambda) => {
                let (id, ip) = (exchange.record.request_id.clone(), visit.viewer.ip().to_string());
                let seen = self.edge_request(EventType::ViewerResponse, visit, request, &id, &ip, None);
                let event = lambda_event::event(&seen, Some((reply.status, &reply.headers)));
                match self.invoke(lambda, exchange, event.clone()).await {
                    Ok(returned) => lambda_event::read_response(EventType::ViewerResponse, &event, &returned),
                    Err(failed) => return *failed,
                }
            }
        };
        match changed {
            Ok(changed) => reply.changed(changed),
            Err(problem) => invalid(exchange, matches!(function, Ready::Lambda(_)), &problem),
        }
    }

    fn seen<'a>(
        &'a self,
        visit: &'a Visit<'_>,
        request_id: &'a str,
        path: &'a str,
        query: Option<&'a str>,
        headers: &'a HeaderMap,
    ) -> ViewerRequest<'a> {
        ViewerRequest {
            method: visit.parts.method.as_str(),
            path,
            query: query.unwrap_or_default(),
            headers,
            viewer_ip: visit.viewer.ip().to_string(),
            request_id,
            distribution_id: &self.config.distribution_id,
            distribution_domain: &self.config.distribution_domain,
        }
    }

    fn edge_request<'a>(
        &'a self,
        event: EventType,
        visit: &'a Visit<'_>,
        request: &'a ChangedRequest,
        request_id: &'a str,
        client_ip: &'a str,
        at: Option<&'a AtOrigin<'_>>,
    ) -> EdgeRequest<'a> {
        EdgeRequest {
            event,
            method: visit.parts.method.as_str(),
            path: &request.path,
            query: if at.is_some_and(|at| !at.is_query_visible) { "" } else { &request.query },
            headers: &request.headers,
            client_ip,
            request_id,
            distribution_id: &self.config.distribution_id,
            distribution_domain: &self.config.distribution_domain,
            origin: at.map(|at| at.origin),
        }
    }

    fn edge_location(&self) -> String {
        let name: String = self.config.edge_location.chars().take(3).collect();
        json!({"name": name, "serverIp": SERVER_IP, "region": "eu-central-1"}).to_string()
    }

    /// Calls a CloudFront function; what it logged goes where it belongs.
    async fn call(
        &self,
        function: &CloudFrontFunction,
        exchange: &mut Exchange,
        event: &Value,
        query: &str,
        edge_location: String,
    ) -> Ended<Option<Value>> {
        let is_request = event.get("response").is_none();
        let now = self.sinks.clock.unix_millis();
        let invocation = Invocation {
            event: event.to_string(),
            raw_query: query.to_owned(),
            start_unix_millis: if is_request { exchange.start_unix_millis } else { now },
            edge_location,
            time_limit: self.config.function_time_limit,
        };
        let code = function.code.clone();
        // On a thread where it may block.
        let called = tokio::task::spawn_blocking(move || code.call(&invocation)).await;
        let Called { result, log_data, console, .. } = called.unwrap_or_else(|error| Called {
            result: Err(FunctionError::Failed(error.to_string())),
            log_data: None,
            console: Vec::new(),
            elapsed: std::time::Duration::ZERO,
        });
        let slot = if is_request { &mut exchange.log_data } else { &mut exchange.response_log_data };
        *slot = log_data;
        let id = exchange.record.request_id.clone();
        let texts = [format!("{id} START DistributionID: {}", self.config.distribution_id)]
            .into_iter()
            .chain(console.iter().map(|text| format!("{id} {text}")))
            .chain([format!("{id} END")]);
        let lines: Vec<_> = texts
            .map(|text| LogLine {
                unix_millis: now,
                text,
                group: format!("/aws/cloudfront/function/{}", function.name),
                stream: function.stream.clone(),
            })
            .collect();
        // Without console output CloudWatch gets nothing.
        if !console.is_empty() {
            self.sinks.function_lines(&lines);
        }
        result.map_err(|error| Box::new(failed(exchange, false, &error.to_string())))
    }

    async fn invoke(&self, lambda: &Arc<Lambda>, exchange: &mut Exchange, event: Value) -> Ended<Value> {
        let Invoked { result, lines, .. } = lambda.invoke(event).await;
        self.sinks.function_lines(&lines);
        result.map_err(|error| Box::new(failed(exchange, true, &error.to_string())))
    }
}

impl Reply {
    pub(super) fn changed(mut self, changed: ChangedResponse) -> Self {
        self.status = StatusCode::from_u16(changed.status).unwrap_or(self.status);
        let length = self.headers.get(CONTENT_LENGTH).cloned();
        self.headers = changed.headers;
        if let Some(body) = changed.body {
            self.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
            self.body = ReplyBody::Ready(body.into());
            self.copy = None;
        } else if let Some(length) = length {
            // The body is what it was, whatever the function says.
            self.headers.insert(CONTENT_LENGTH, length);
        }
        self
    }
}

fn made_by_function(response: GeneratedResponse, is_lambda: bool) -> Reply {
    let result = if is_lambda { ResultType::LambdaGeneratedResponse } else { ResultType::FunctionGeneratedResponse };
    generated(response, result, result.name())
}

/// The function broke a rule: 502.
pub(super) fn invalid(exchange: &Exchange, is_lambda: bool, problem: &str) -> Reply {
    let request_id = &exchange.record.request_id;
    tracing::warn!(problem, request_id, "edge function returned something invalid");
    let result = if is_lambda { ResultType::LambdaValidationError } else { ResultType::FunctionValidationError };
    let kind = if is_lambda { "Lambda@Edge" } else { "CloudFront" };
    let page = error_page(502, &format!("The {kind} function is not valid: {problem}."), request_id);
    generated(page, result, result.name())
}

/// The function failed: 503.
fn failed(exchange: &Exchange, is_lambda: bool, problem: &str) -> Reply {
    let request_id = &exchange.record.request_id;
    tracing::warn!(problem, request_id, "edge function failed");
    let result = if is_lambda { ResultType::LambdaExecutionError } else { ResultType::FunctionExecutionError };
    let kind = if is_lambda { "Lambda@Edge" } else { "CloudFront" };
    let message =
        format!("The {kind} function associated with the CloudFront distribution is invalid or could not run.");
    generated(error_page(503, &message, request_id), result, result.name())
}
