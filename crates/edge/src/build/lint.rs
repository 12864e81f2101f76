//! What a function may use. Everything is refused that is not known to be there: a name that CloudFront's runtime lacks
//! would fail every request of a distribution, and no test outside of AWS would notice.
//!
//! For CloudFront Functions (runtime 2.0, "JavaScript runtime 2.0 features for CloudFront Functions") that is ES5.1, the
//! modules `crypto` and `cloudfront`, and of `Date` only `now`, which stands still while a function runs. No `throw`: it
//! would fail the viewer's request. For Lambda@Edge it is Node's modules, without packages.

use super::tokens::{self, KEYWORDS, Kind, Role, Token};
use crate::emulator::headers;

/// Where a function runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// CloudFront Functions, `cloudfront-js-2.0`.
    CloudFront,
    /// Lambda@Edge, Node.js 22 and 24.
    Lambda,
}

impl Runtime {
    /// AWS's name for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CloudFront => "cloudfront-js-2.0",
            Self::Lambda => "Node.js 22 and 24",
        }
    }
}

/// Signs that came with ES2015 and later.
const NEWER_SIGNS: [&str; 9] = ["=>", "...", "**", "**=", "?.", "??", "&&=", "||=", "??="];

/// Words of the language that CloudFront Functions must do without: newer ones, and those that end in an error.
const REFUSED_WORDS: [&str; 16] = [
    "async", "await", "class", "const", "debugger", "enum", "export", "extends", "finally", "let", "static", "super",
    "this", "throw", "with", "yield",
];

/// What the runtime declares, of which the functions use no more. Not `crypto`: Debian's njs has it, CloudFront does not.
const CLOUDFRONT_GLOBALS: [&str; 8] = ["Array", "Date", "JSON", "Number", "Object", "String", "console", "require"];

/// The same of Node.
const LAMBDA_GLOBALS: [&str; 12] =
    ["Array", "Buffer", "Date", "JSON", "Math", "Number", "Object", "Promise", "String", "URL", "console", "process"];

/// Node's timers, for the budget of the export.
const LAMBDA_TIMERS: [&str; 2] = ["clearTimeout", "setTimeout"];

/// Functions of ES5.1 that need no object.
const FREE_FUNCTIONS: [&str; 2] = ["parseInt", "undefined"];

/// Methods that are called: those of ES5.1, of the two modules, and of the console.
const CLOUDFRONT_METHODS: [&str; 24] = [
    "charCodeAt",
    "concat",
    "createHash",
    "createHmac",
    "digest",
    "exec",
    "indexOf",
    "isArray",
    "join",
    "keys",
    "log",
    "logCustomData",
    "now",
    "pop",
    "push",
    "replace",
    "slice",
    "splice",
    "split",
    "stringify",
    "test",
    "toString",
    "unshift",
    "update",
];

/// Headers that a viewer-request function may not write, beside the disallowed ones. Those of viewer-response are fewer.
const READ_ONLY_HEADERS: [&str; 5] = ["content-length", "host", "transfer-encoding", "via", "warning"];

/// What is wrong with a function, first of all.
///
/// # Errors
///
/// One clause without a dot, with the line of the source.
pub(super) fn check(source: &str, runtime: Runtime) -> Result<(), String> {
    let tokens = tokens::tokens(source).map_err(|line| format!("line {line} is no JavaScript"))?;
    let open = tokens::innermost(&tokens);
    let declared = tokens::declared(&tokens);
    for (index, token) in tokens.iter().enumerate() {
        let problem = header_problem(&tokens, index).or_else(|| match token.kind {
            Kind::Word => match tokens::role(&tokens, index, open[index]) {
                Role::Property => method_problem(&tokens, index, runtime),
                Role::Variable => word_problem(&tokens, index, runtime, &declared),
                Role::Module => None,
            },
            Kind::Sign => sign_problem(token, runtime),
            Kind::Number | Kind::Text | Kind::Pattern => None,
        });
        if let Some(problem) = problem {
            return Err(format!("{problem} (line {} of the source)", token.line + 1));
        }
    }
    Ok(())
}

fn sign_problem(token: &Token<'_>, runtime: Runtime) -> Option<String> {
    let is_newer = NEWER_SIGNS.contains(&token.text) || matches!(token.text, "`" | "#" | "@");
    (runtime == Runtime::CloudFront && is_newer).then(|| format!("{} is newer syntax", token.text))
}

fn word_problem(tokens: &[Token<'_>], index: usize, runtime: Runtime, declared: &[&str]) -> Option<String> {
    let name = tokens[index].text;
    let behind = |distance: usize| tokens.get(index + distance).map_or("", |token| token.text);
    if KEYWORDS.contains(&name) {
        return match (runtime, name) {
            (Runtime::CloudFront, "import") => {
                let is_module = behind(2) == "from" && behind(3) == "'cloudfront'";
                (!is_module).then(|| format!("{} is no module of CloudFront Functions", behind(3)))
            }
            (Runtime::CloudFront, _) => REFUSED_WORDS.contains(&name).then(|| format!("{name} is refused")),
            (Runtime::Lambda, "import") => {
                (!behind(3).starts_with("'node:")).then(|| format!("{} is no module of Node", behind(3)))
            }
            (Runtime::Lambda, _) => None,
        };
    }
    if declared.contains(&name) || FREE_FUNCTIONS.contains(&name) {
        return None;
    }
    let is_known = match runtime {
        Runtime::CloudFront => CLOUDFRONT_GLOBALS.contains(&name),
        Runtime::Lambda => LAMBDA_GLOBALS.contains(&name) || LAMBDA_TIMERS.contains(&name),
    };
    if !is_known {
        return Some(format!("{name} is not there"));
    }
    let is_wrong = match name {
        "Date" if runtime == Runtime::CloudFront => [behind(1), behind(2)] != [".", "now"],
        "require" => [behind(1), behind(2)] != ["(", "'crypto'"],
        _ => false,
    };
    is_wrong.then(|| format!("{name} has more than is allowed"))
}

fn method_problem(tokens: &[Token<'_>], index: usize, runtime: Runtime) -> Option<String> {
    let name = tokens[index].text;
    if matches!(name, "constructor" | "__proto__" | "prototype") {
        return Some(format!("{name} leads to everything"));
    }
    let is_called = tokens.get(index + 1).is_some_and(|next| next.text == "(");
    let is_unknown = runtime == Runtime::CloudFront && is_called && !CLOUDFRONT_METHODS.contains(&name);
    is_unknown.then(|| format!("the method {name} is not there"))
}

/// `headers.host`, `headers['host']` and `{ 'x-edge-a': … }`: read by nobody here, so that writing them needs no analysis.
fn header_problem(tokens: &[Token<'_>], index: usize) -> Option<String> {
    let token = &tokens[index];
    let text =
        |distance: usize| index.checked_sub(distance).and_then(|at| tokens.get(at)).map_or("", |token| token.text);
    let name = match token.kind {
        // Double quotes are only in the settings, whose headers were checked when they were read.
        Kind::Text => token.text.trim_matches('\'').to_ascii_lowercase(),
        Kind::Word if text(1) == "." && text(2) == "headers" => token.text.to_ascii_lowercase(),
        Kind::Word | Kind::Number | Kind::Pattern | Kind::Sign => return None,
    };
    if headers::is_disallowed(&name) {
        return Some(format!("the header {name} is disallowed"));
    }
    let is_of_headers = text(2) == "headers" && matches!(text(1), "." | "[");
    (is_of_headers && READ_ONLY_HEADERS.contains(&name.as_str())).then(|| format!("the header {name} is read-only"))
}
