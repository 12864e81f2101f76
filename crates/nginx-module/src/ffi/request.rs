//! A request of nginx, for as long as a callback lasts.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::time::SystemTime;

use nginx_sys::*;
use rootspan_model::time::UnixNanos;
use rootspan_wire::nginx::span::{Served, Try, Upstream};

use super::headers::{self, Headers};
use super::{drop_box, module_index, pool_box};
use crate::config::LocationConfig;
use crate::context::{Context, Moment};

/// Tries of one request that become spans; nginx itself is rarely allowed more than three.
const MAX_TRIES: usize = 16;

/// A compiled text with variables, in the pool of a configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ComplexValue(pub(super) NonNull<ngx_http_complex_value_t>);

/// A text in the pool of a configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConfigText(ngx_str_t);

/// A request. It is valid for `'r`, the duration of one callback, and is handled by the thread that has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'r> {
    raw: NonNull<ngx_http_request_t>,
    scope: PhantomData<&'r ()>,
}

/// Gives `body` the request of a callback. `raw` is the callback's argument.
pub(super) fn with_request<T>(raw: *mut ngx_http_request_t, body: impl for<'r> FnOnce(Request<'r>) -> T) -> T {
    let raw = NonNull::new(raw).expect("nginx calls with a request");
    body(Request { raw, scope: PhantomData })
}

impl<'r> Request<'r> {
    fn raw(self) -> *mut ngx_http_request_t {
        self.raw.as_ptr()
    }

    /// The bytes of a string of the request; `text` was read from it just now.
    fn bytes(self, text: ngx_str_t) -> &'r [u8] {
        if text.len == 0 || text.data.is_null() {
            return &[];
        }
        // SAFETY: a string of a request points into the request's pool or buffers, or into its configuration, which all
        // live for `'r`; nginx does not write into the text of a string that it has made.
        unsafe { std::slice::from_raw_parts(text.data, text.len) }
    }

    fn connection(self) -> *mut ngx_connection_t {
        // SAFETY: a request has a connection until its pool is destroyed.
        unsafe { (*self.raw()).connection }
    }

    /// Whether it is a client's request, not a subrequest.
    pub(crate) fn is_main(self) -> bool {
        // SAFETY: `raw` is valid.
        unsafe { (*self.raw()).main == self.raw() }
    }

    /// The client's request that this one belongs to; itself if it is one.
    pub(crate) fn main(self) -> Self {
        // SAFETY: `main` is set when a request is made, and lives longer than its subrequests.
        let main = unsafe { (*self.raw()).main };
        Self { raw: NonNull::new(main).unwrap_or(self.raw), scope: PhantomData }
    }

    /// What is configured for its location.
    pub(crate) fn location(self) -> &'r LocationConfig {
        // SAFETY: our slot holds a box of `on_create_location`; it is only read while there are requests.
        unsafe { &*(*(*self.raw()).loc_conf.add(module_index())).cast::<LocationConfig>() }
    }

    /// The name of its location.
    pub(crate) fn location_name(self) -> ConfigText {
        // SAFETY: the core module's slot holds its location configuration.
        unsafe {
            let index = ngx_http_core_module.ctx_index;
            ConfigText((*(*(*self.raw()).loc_conf.add(index)).cast::<ngx_http_core_loc_conf_t>()).name)
        }
    }

    /// The bytes of a text of the configuration that this request began with.
    pub(crate) fn config_text(self, text: ConfigText) -> &'r [u8] {
        self.bytes(text.0)
    }

    /// The value of a text with variables; `None` if one fails.
    pub(crate) fn evaluate(self, value: ComplexValue) -> Option<&'r [u8]> {
        let mut text = ngx_str_t::empty();
        // SAFETY: `value` was compiled for the configuration of this request; nginx writes `text`, which it allocates in the
        // request's pool or takes from the configuration.
        let outcome = unsafe { ngx_http_complex_value(self.raw(), value.0.as_ptr(), &raw mut text) };
        (outcome == super::OK).then(|| self.bytes(text))
    }

    /// The context that was attached.
    pub(crate) fn context(self) -> Option<&'r Context> {
        // SAFETY: our slot holds null or the box that `attach` made. An internal redirect clears the slots, but the
        // clean-up is still in the pool. Its handler tells the box from those of others: we give it to no other
        // type in a request's pool, and no other module has it.
        unsafe {
            let slot = (*self.raw()).ctx.add(module_index());
            if (*slot).is_null() {
                let mut cleanup = (*(*self.raw()).pool).cleanup;
                while let Some(entry) = cleanup.as_ref() {
                    if entry.handler.is_some_and(|handler| handler as usize == CONTEXT_DROP as usize) {
                        *slot = entry.data;
                        break;
                    }
                    cleanup = entry.next;
                }
            }
            (*slot).cast::<Context>().as_ref()
        }
    }

    /// Attaches a context for the rest of the request; `None` if there is no memory.
    pub(crate) fn attach(self, context: Context) -> Option<&'r Context> {
        // SAFETY: the pool of the request is valid. The box is dropped with it and only read until then.
        unsafe {
            let attached = pool_box((*self.raw()).pool, context, CONTEXT_DROP)?;
            *(*self.raw()).ctx.add(module_index()) = attached.as_ptr().cast();
            Some(attached.as_ref())
        }
    }

    /// The headers: names in lower case, values as received.
    pub(crate) fn headers(self) -> impl Iterator<Item = (&'r [u8], &'r [u8])> {
        // SAFETY: the list is the request's; it is valid, or all zero if the request has none (HTTP/0.9, a malformed
        // request line), which reads as empty.
        let headers = unsafe { Headers::new(&raw const (*self.raw()).headers_in.headers) };
        headers.map(move |(name, value)| (self.bytes(name), self.bytes(value)))
    }

    /// Sets a header; an empty value removes it. Without memory nothing happens.
    pub(crate) fn set_header(self, name: &'static str, value: &str) {
        // SAFETY: list and pool are the request's, and no iterator of it is alive: `headers` is consumed by its callers before
        // they write. Slices of values stay valid, for texts are replaced, not overwritten.
        unsafe {
            let list = &raw mut (*self.raw()).headers_in.headers;
            if value.is_empty() {
                headers::remove(list, (*self.raw()).pool, name);
            } else {
                headers::set(list, (*self.raw()).pool, name, value);
            }
        }
    }

    /// nginx's clock in milliseconds, of no particular epoch.
    pub(crate) fn now_millis(self) -> u64 {
        // SAFETY: only this thread writes it.
        unsafe { (&raw const ngx_current_msec).read() as u64 }
    }

    /// Now.
    pub(crate) fn moment(self) -> Moment {
        // SAFETY: nginx keeps the pointer valid; its target is replaced by this thread only.
        let (seconds, millis) = unsafe {
            let now = &*(&raw const ngx_cached_time).read();
            (now.sec - (*self.raw()).start_sec, now.msec as i64 - (*self.raw()).start_msec as i64)
        };
        let age_millis = u64::try_from(seconds.saturating_mul(1_000).saturating_add(millis)).unwrap_or(0);
        Moment { time: system_time(), millis: self.now_millis(), age_millis }
    }

    /// What is known when the request is logged.
    pub(crate) fn served(self) -> Served<'r> {
        // SAFETY: plain fields of the request, of its connection, and of the socket addresses that these point to.
        unsafe {
            let raw = &*self.raw();
            let connection = &*self.connection();
            let target = self.bytes(raw.unparsed_uri);
            let question = target.iter().position(|byte| *byte == b'?').unwrap_or(target.len());
            let (path, query) = target.split_at(question);
            let status = if raw.err_status != 0 { raw.err_status } else { raw.headers_out.status };
            Served {
                method: self.bytes(raw.method_name),
                path,
                query: query.get(1..).unwrap_or_default(),
                scheme: if connection.ssl.is_null() { "http" } else { "https" },
                status: u32::try_from(status).unwrap_or(0),
                route: self.config_text(self.location_name()),
                host: self.bytes(raw.headers_in.server),
                port: port(connection.local_sockaddr),
                client_address: self.bytes(connection.addr_text),
                protocol: protocol(raw.http_version),
                user_agent: raw.headers_in.user_agent.as_ref().map(|header| self.bytes(header.value)),
                ended: system_time(),
            }
        }
    }

    /// The tries of upstream servers, if there were any; `ended` is when the request did.
    pub(crate) fn upstream(self, context: &Context, ended: UnixNanos) -> Option<Upstream<'r>> {
        // SAFETY: `upstream_states` is null or an array of states; `upstream` is null or, also after its end, the last upstream's
        // record in the request's pool.
        unsafe {
            let states = (*self.raw()).upstream_states.as_ref()?.as_slice::<ngx_http_upstream_state_t>();
            // A state without peer only separates the upstreams of internal redirects.
            let tries = states.iter().filter_map(|state| Some((state, *state.peer.as_ref()?)));
            let tries: Vec<_> = tries
                .take(MAX_TRIES)
                .map(|(state, peer)| Try {
                    peer: self.bytes(peer),
                    status: u32::try_from(state.status).unwrap_or(0),
                    header_millis: millis(state.header_time),
                    connect_millis: millis(state.connect_time),
                    response_millis: millis(state.response_time),
                    received_bytes: u64::try_from(state.bytes_received).unwrap_or(0),
                    sent_bytes: u64::try_from(state.bytes_sent).unwrap_or(0),
                })
                .collect();
            let upstream = (*self.raw()).upstream.as_ref().filter(|_| !tries.is_empty())?;
            let name =
                upstream.upstream.as_ref().map(|server| server.host).or(upstream.resolved.as_ref().map(|to| to.host));
            let took = tries.last().and_then(|last: &Try<'_>| last.response_millis).unwrap_or_default();
            let clocks = [upstream.start_time as u64, self.now_millis()];
            let (last_start, last_end) = context.last_try(clocks, took, ended);
            Some(Upstream {
                tries,
                name: self.bytes(name.unwrap_or(ngx_str_t::empty())),
                scheme: self.bytes(upstream.schema),
                uri: self.bytes(upstream.uri),
                earliest: context.made,
                last_start,
                last_end,
            })
        }
    }

    /// Writes a warning into the error log.
    pub(crate) fn warn(self, line: &str) {
        // SAFETY: a connection has a log.
        super::log(unsafe { (*self.connection()).log }, NGX_LOG_WARN, line);
    }
}

/// The clean-up of every context, read from one place so that comparing it is meaningful.
static CONTEXT_DROP: unsafe extern "C" fn(*mut c_void) = drop_box::<Context>;

#[expect(
    clippy::disallowed_methods,
    reason = "this is the module's clock: nothing behind the callbacks reads the time"
)]
fn system_time() -> UnixNanos {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixNanos(u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX))
}

/// nginx's "not measured" is the largest number.
fn millis(time: ngx_msec_t) -> Option<u64> {
    (time != ngx_msec_t::MAX).then_some(time as u64)
}

fn protocol(version: ngx_uint_t) -> &'static str {
    // The numbers are nginx's: thousands and units.
    match version {
        9 => "0.9",
        1_000 => "1.0",
        1_001 => "1.1",
        2_000 => "2",
        3_000 => "3",
        _ => "",
    }
}

/// The port of a socket address, 0 if it has none.
///
/// # Safety
///
/// `address` is null or a valid socket address of its family.
unsafe fn port(address: *mut sockaddr) -> u16 {
    let address = address.cast::<libc::sockaddr>();
    // SAFETY: by the contract; the family says which structure it is.
    unsafe {
        match address.as_ref().map(|address| libc::c_int::from(address.sa_family)) {
            Some(libc::AF_INET) => u16::from_be((*address.cast::<libc::sockaddr_in>()).sin_port),
            Some(libc::AF_INET6) => u16::from_be((*address.cast::<libc::sockaddr_in6>()).sin6_port),
            _ => 0,
        }
    }
}
