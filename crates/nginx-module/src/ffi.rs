//! The only place with `unsafe`: what nginx calls (this file), and safe views of what belongs to nginx ([`request`], and
//! [`headers`] for the list of a request's headers).
//!
//! The proofs below lean on how nginx works. They are named here once:
//!
//! - **One thread.** Configuration and requests are handled by one thread in each process; [`Request`], [`ComplexValue`] and
//!   [`ConfigText`] hold raw pointers and are therefore neither `Send` nor `Sync`. The export thread sees none of them.
//! - **Valid in the callback.** What nginx passes to a callback is valid until it returns. [`with_request`] ties every
//!   [`Request`], and each slice that is taken from it, to the callback's scope. Memory of a request is freed with its pool, after the
//!   log phase; it is never freed or moved earlier.
//! - **Configuration outlives requests.** A configuration's pool is destroyed only when no request that began with it is left.
//! - **Our memory.** Pointers in our slots of `ctx`, `main_conf` and `loc_conf` are boxes that this file made with the type
//!   that it reads; they are dropped by a clean-up of the same pool as the slot.

use std::ffi::{c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::ptr::{NonNull, null, null_mut};

use nginx_sys::*;

use crate::config::{Apply, DIRECTIVES, Directive, ExporterConfig, LocationConfig, MainConfig, Words};
use crate::handler::{self, VARIABLES};

// === the module's tables ===

#[unsafe(no_mangle)]
static mut ngx_modules: [*const ngx_module_t; 2] = [&raw const MODULE, null()];
#[unsafe(no_mangle)]
static mut ngx_module_names: [*const c_char; 2] = [c"ngx_http_rootspan_module".as_ptr(), null()];
#[unsafe(no_mangle)]
static mut ngx_module_order: [*const c_char; 1] = [null()];

static mut MODULE: ngx_module_t = ngx_module_t {
    ctx: (&raw const HTTP_MODULE).cast_mut().cast(),
    commands: (&raw mut COMMANDS).cast(),
    type_: NGX_HTTP_MODULE as ngx_uint_t,
    init_process: Some(on_init_process),
    exit_process: Some(on_exit_process),
    ..ngx_module_t::default()
};

static HTTP_MODULE: ngx_http_module_t = ngx_http_module_t {
    preconfiguration: Some(on_preconfiguration),
    postconfiguration: Some(on_postconfiguration),
    create_main_conf: Some(on_create_main),
    init_main_conf: None,
    create_srv_conf: None,
    merge_srv_conf: None,
    create_loc_conf: Some(on_create_location),
    merge_loc_conf: Some(on_merge_location),
};

static mut COMMANDS: [ngx_command_t; DIRECTIVES.len() + 1] = {
    let mut commands = [ngx_command_t::empty(); DIRECTIVES.len() + 1];
    let mut index = 0;
    while index < DIRECTIVES.len() {
        let Directive { name, words, apply } = &DIRECTIVES[index];
        let words = match words {
            Words::Block => NGX_CONF_BLOCK | NGX_CONF_NOARGS,
            Words::One => NGX_CONF_TAKE1,
            Words::OneOrTwo => NGX_CONF_TAKE12,
            Words::Two => NGX_CONF_TAKE2,
            Words::OneOrMore => NGX_CONF_1MORE,
        };
        let (places, conf) = match apply {
            Apply::Exporter | Apply::Main(_) => (NGX_HTTP_MAIN_CONF, NGX_HTTP_MAIN_CONF_OFFSET),
            Apply::Location(_) => {
                (NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF, NGX_HTTP_LOC_CONF_OFFSET)
            }
        };
        commands[index] = ngx_command_t {
            name: ngx_str_t { len: name.count_bytes(), data: name.as_ptr().cast_mut().cast() },
            type_: (words | places) as ngx_uint_t,
            set: Some(on_directive),
            conf,
            // nginx leaves the meaning of `offset` to us: the row of the table.
            offset: index,
            post: null_mut(),
        };
        index += 1;
    }
    commands
};

const OK: ngx_int_t = NGX_OK as ngx_int_t;
const ERROR: ngx_int_t = NGX_ERROR as ngx_int_t;
const DECLINED: ngx_int_t = NGX_DECLINED as ngx_int_t;

/// `NGX_CONF_ERROR`: failed, and the reason is logged.
const CONF_ERROR: *mut c_char = usize::MAX as *mut c_char;

/// A panic must not reach C: the callback then has this `outcome`, and the panic's message is in the error log.
fn guarded<T>(outcome: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(outcome)
}

fn module_index() -> usize {
    // SAFETY: nginx writes it when it loads the configuration, in the one thread there is; here it is only read.
    unsafe { MODULE.ctx_index }
}

// === configuration ===

unsafe extern "C" fn on_create_main(cf: *mut ngx_conf_t) -> *mut c_void {
    guarded(null_mut(), || boxed(cf, MainConfig::new()))
}

unsafe extern "C" fn on_create_location(cf: *mut ngx_conf_t) -> *mut c_void {
    guarded(null_mut(), || boxed(cf, LocationConfig::default()))
}

/// Moves `value` into a box that is dropped with the configuration's pool; null if there is no memory.
fn boxed<T>(cf: *mut ngx_conf_t, value: T) -> *mut c_void {
    // SAFETY: `cf` is the callback's argument, its pool is valid.
    unsafe { pool_box((*cf).pool, value, drop_box::<T>) }.map_or(null_mut(), |pointer| pointer.as_ptr().cast())
}

/// Moves `value` into a box that `drop` drops with `pool`.
///
/// # Safety
///
/// `pool` is valid; `drop` drops a box of `T`.
unsafe fn pool_box<T>(pool: *mut ngx_pool_t, value: T, drop: unsafe extern "C" fn(*mut c_void)) -> Option<NonNull<T>> {
    // SAFETY: `pool` is valid by the contract; a clean-up that is not null may be written.
    unsafe {
        let cleanup = NonNull::new(ngx_pool_cleanup_add(pool, 0))?.as_ptr();
        let pointer = Box::into_raw(Box::new(value));
        (*cleanup).data = pointer.cast();
        (*cleanup).handler = Some(drop);
        NonNull::new(pointer)
    }
}

unsafe extern "C" fn drop_box<T>(data: *mut c_void) {
    // SAFETY: `data` comes from `pool_box::<T>`, whose pool runs each clean-up once.
    guarded((), || drop(unsafe { Box::from_raw(data.cast::<T>()) }));
}

unsafe extern "C" fn on_merge_location(_: *mut ngx_conf_t, outer: *mut c_void, inner: *mut c_void) -> *mut c_char {
    guarded(CONF_ERROR, || {
        // SAFETY: both are boxes of `on_create_location`, and two different ones.
        let (outer, inner) = unsafe { (&*outer.cast::<LocationConfig>(), &mut *inner.cast::<LocationConfig>()) };
        inner.inherit(outer);
        null_mut()
    })
}

unsafe extern "C" fn on_directive(cf: *mut ngx_conf_t, command: *mut ngx_command_t, conf: *mut c_void) -> *mut c_char {
    guarded(CONF_ERROR, || {
        // SAFETY: nginx passes the command's row of `COMMANDS`.
        let row = unsafe { (*command).offset };
        let outcome = words(cf).and_then(|words| match &DIRECTIVES[row].apply {
            Apply::Exporter => exporter_block(cf, conf),
            // SAFETY: `COMMANDS` says of these directives that `conf` is what `on_create_main` made.
            Apply::Main(apply) => apply(unsafe { &mut *conf.cast() }, &words),
            // SAFETY: as above, with `on_create_location`.
            Apply::Location(apply) => apply(unsafe { &mut *conf.cast() }, &words, &|index| compile(cf, index)),
        });
        outcome.map_or_else(|message| conf_message(cf, &message), |()| null_mut())
    })
}

fn exporter_block(cf: *mut ngx_conf_t, conf: *mut c_void) -> Result<(), String> {
    // SAFETY: `conf` is what `on_create_main` made; no reference to it lives while nginx parses the block.
    if unsafe { &*conf.cast::<MainConfig>() }.exporter.is_some() {
        return Err("is duplicate".to_owned());
    }
    let mut exporter = ExporterConfig::default();
    // SAFETY: `cf` is the callback's; it is put back as it was, and `exporter` outlives the parsing that writes it.
    let parsed = unsafe {
        let saved = *cf;
        (*cf).handler = Some(on_exporter_line);
        (*cf).handler_conf = (&raw mut exporter).cast();
        let parsed = ngx_conf_parse(cf, null_mut());
        *cf = saved;
        parsed
    };
    if !parsed.is_null() {
        return Err("has an error in its block".to_owned());
    }
    // SAFETY: `cf` has a cycle, whose paths are set before anything is configured.
    let folder = unsafe { String::from_utf8_lossy((*(*cf).cycle).conf_prefix.as_bytes()) };
    exporter.complete(Path::new(&*folder))?;
    // SAFETY: as at the top.
    unsafe { &mut *conf.cast::<MainConfig>() }.exporter = Some(exporter);
    Ok(())
}

unsafe extern "C" fn on_exporter_line(cf: *mut ngx_conf_t, _: *mut ngx_command_t, conf: *mut c_void) -> *mut c_char {
    guarded(CONF_ERROR, || {
        // SAFETY: `exporter_block` passes its local, which it does not touch meanwhile.
        let exporter = unsafe { &mut *conf.cast::<ExporterConfig>() };
        let outcome = words(cf).and_then(|words| exporter.line(&words));
        outcome.map_or_else(|message| conf_message(cf, &message), |()| null_mut())
    })
}

/// The directive's name and its words.
fn words(cf: *mut ngx_conf_t) -> Result<Vec<String>, String> {
    // SAFETY: in a directive's callback `args` is an array of strings.
    let words = unsafe { (*(*cf).args).as_slice::<ngx_str_t>() };
    let word = |word: &ngx_str_t| std::str::from_utf8(word.as_bytes()).map(str::to_owned);
    words.iter().map(word).collect::<Result<_, _>>().map_err(|_| "has a value that is not UTF-8".to_owned())
}

/// Compiles word `index` of the directive, which has variables.
fn compile(cf: *mut ngx_conf_t, index: usize) -> Result<ComplexValue, String> {
    // SAFETY: `args` as in `words`; the value is allocated in the configuration's pool and written by nginx before it is used.
    let compiled = unsafe {
        let words = (*(*cf).args).as_slice_mut::<ngx_str_t>();
        let word = words.get_mut(index).ok_or("lacks a value")?;
        let value = ngx_pcalloc((*cf).pool, size_of::<ngx_http_complex_value_t>()).cast::<ngx_http_complex_value_t>();
        let value = NonNull::new(value).ok_or("cannot be stored: no memory")?;
        let mut request: ngx_http_compile_complex_value_t = std::mem::zeroed();
        request.cf = cf;
        request.value = word;
        request.complex_value = value.as_ptr();
        (ngx_http_compile_complex_value(&raw mut request) == OK).then_some(ComplexValue(value))
    };
    compiled.ok_or_else(|| "has an invalid value".to_owned())
}

/// A message as nginx wants it: text in the pool with a zero at its end.
fn conf_message(cf: *mut ngx_conf_t, message: &str) -> *mut c_char {
    let text: Vec<u8> = message.bytes().filter(|byte| *byte != 0).chain([0]).collect();
    // SAFETY: `cf` is the callback's, its pool is valid.
    unsafe { pool_copy((*cf).pool, &text) }.map_or(CONF_ERROR, |text| text.data.cast())
}

unsafe extern "C" fn on_preconfiguration(cf: *mut ngx_conf_t) -> ngx_int_t {
    guarded(ERROR, || {
        for (index, (name, variable)) in VARIABLES.iter().enumerate() {
            let mut name = ngx_str_t { len: name.len(), data: name.as_ptr().cast_mut() };
            let changes = matches!(variable, handler::Variable::DroppedSpans);
            let flags = if changes { NGX_HTTP_VAR_NOCACHEABLE as ngx_uint_t } else { 0 };
            // SAFETY: `cf` is valid, nginx copies the name, and a variable that is not null may be written.
            unsafe {
                let Some(added) = NonNull::new(ngx_http_add_variable(cf, &raw mut name, flags)) else { return ERROR };
                (*added.as_ptr()).get_handler = Some(on_variable);
                (*added.as_ptr()).data = index;
            }
        }
        OK
    })
}

unsafe extern "C" fn on_postconfiguration(cf: *mut ngx_conf_t) -> ngx_int_t {
    // SAFETY: within `http` the context of `cf` is the HTTP one, with a slot for every module; ours holds what
    // `on_create_main` made, the core module's its main configuration, whose phases are initialised arrays of handlers.
    guarded(ERROR, || unsafe {
        let main = (*(*cf).ctx.cast::<ngx_http_conf_ctx_t>()).main_conf;
        if (*(*main.add(module_index())).cast::<MainConfig>()).exporter.is_none() {
            return OK;
        }
        let core = (*main.add(ngx_http_core_module.ctx_index)).cast::<ngx_http_core_main_conf_t>();
        let phases: [(_, unsafe extern "C" fn(*mut ngx_http_request_t) -> ngx_int_t); 2] =
            [(ngx_http_phases_NGX_HTTP_REWRITE_PHASE, on_rewrite), (ngx_http_phases_NGX_HTTP_LOG_PHASE, on_log)];
        for (phase, callback) in phases {
            let slot = ngx_array_push(&raw mut (*core).phases[phase as usize].handlers).cast::<ngx_http_handler_pt>();
            if slot.is_null() {
                return ERROR;
            }
            slot.write(Some(callback));
        }
        OK
    })
}

// === processes ===

unsafe extern "C" fn on_init_process(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    guarded(OK, || {
        // SAFETY: nginx sets it before it calls any module, and never again in this process.
        let process = unsafe { (&raw const ngx_process).read() };
        if process != NGX_PROCESS_WORKER as ngx_uint_t && process != NGX_PROCESS_SINGLE as ngx_uint_t {
            return OK;
        }
        // SAFETY: the cycle is complete. The slot of the HTTP module is null without an `http` block; else it is as in
        // `on_postconfiguration`.
        let (config, host) = unsafe {
            let http = *(*cycle).conf_ctx.add(ngx_http_module.index);
            if http.is_null() {
                return OK;
            }
            let main = (*http.cast::<ngx_http_conf_ctx_t>()).main_conf;
            let config = &*(*main.add(module_index())).cast::<MainConfig>();
            (config, String::from_utf8_lossy((*cycle).hostname.as_bytes()))
        };
        if let Err(line) = handler::start_worker(config, &host, spawn_without_signals) {
            // SAFETY: the cycle has a log.
            log(unsafe { (*cycle).log }, NGX_LOG_ERR, &line);
        }
        OK
    })
}

unsafe extern "C" fn on_exit_process(cycle: *mut ngx_cycle_t) {
    guarded((), || {
        if let Some(line) = handler::stop_worker() {
            // SAFETY: the cycle has a log.
            log(unsafe { (*cycle).log }, NGX_LOG_WARN, &line);
        }
    });
}

/// Starts a thread that takes none of the process's signals: nginx's handlers must run in the thread of the event loop,
/// which they wake.
fn spawn_without_signals(body: Box<dyn FnOnce() + Send>) -> std::io::Result<()> {
    // SAFETY: both sets are initialised before they are read; a thread inherits the mask of its maker, whose own is put back.
    unsafe {
        let (mut all, mut before) = (std::mem::zeroed(), std::mem::zeroed());
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        let spawned = std::thread::Builder::new().name("otel-export".to_owned()).spawn(body);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, null_mut());
        spawned.map(drop)
    }
}

fn log(log: *mut ngx_log_t, level: u32, line: &str) {
    let text = ngx_str_t { len: line.len(), data: line.as_ptr().cast_mut() };
    // SAFETY: the log is valid (callers), `%V` takes a pointer to a string, which nginx only reads.
    unsafe {
        if (*log).log_level >= level as ngx_uint_t {
            ngx_log_error_core(level as ngx_uint_t, log, 0, c"%V".as_ptr(), &raw const text);
        }
    }
}

// === requests ===

unsafe extern "C" fn on_rewrite(raw: *mut ngx_http_request_t) -> ngx_int_t {
    guarded((), || with_request(raw, handler::before));
    DECLINED
}

unsafe extern "C" fn on_log(raw: *mut ngx_http_request_t) -> ngx_int_t {
    guarded((), || with_request(raw, handler::after));
    OK
}

unsafe extern "C" fn on_variable(
    raw: *mut ngx_http_request_t,
    value: *mut ngx_http_variable_value_t,
    index: usize,
) -> ngx_int_t {
    guarded(ERROR, || {
        let text = with_request(raw, |request| handler::variable(request, VARIABLES[index].1));
        // SAFETY: nginx passes a value to be written, and a request whose pool is valid.
        unsafe {
            let copied = text.and_then(|text| pool_copy((*raw).pool, text.as_bytes()));
            (*value).set_valid(1);
            (*value).set_no_cacheable(0);
            (*value).set_not_found(u32::from(copied.is_none()));
            let copied = copied.unwrap_or(ngx_str_t::empty());
            (*value).set_len(u32::try_from(copied.len).unwrap_or(0));
            (*value).data = copied.data;
        }
        OK
    })
}

/// Copies `bytes` into the pool.
///
/// # Safety
///
/// `pool` is valid.
unsafe fn pool_copy(pool: *mut ngx_pool_t, bytes: &[u8]) -> Option<ngx_str_t> {
    // SAFETY: by the contract.
    unsafe { ngx_str_t::from_bytes(pool, bytes) }
}

mod headers;
mod request;
use request::with_request;
pub(crate) use request::{ComplexValue, ConfigText, Request};
