//! `rootspan nginx config`: the lines with which nginx is traced, by the module or by its log.

mod convert;
mod print;
mod settings;

pub(crate) use print::{Propagators, Way, module};

use std::process::ExitCode;

use anyhow::Context as _;

use crate::arguments::NginxConfigArguments;
use crate::output::complain;

/// Prints the lines, or a configuration for the C++ module turned into one with them.
pub(crate) fn config(arguments: &NginxConfigArguments) -> anyhow::Result<ExitCode> {
    let way = Way {
        is_log: arguments.log,
        propagators: Propagators::parse(&arguments.propagators)?,
        service_name: arguments.service_name.clone(),
        endpoint: arguments.endpoint.clone(),
        interval: None,
        log: arguments.syslog.clone().unwrap_or_else(|| arguments.log_file.display().to_string()),
        is_syslog: arguments.syslog.is_some(),
        log_keys: Vec::new(),
    };
    let Some(file) = &arguments.from else {
        crate::output::print(format_args!("{}", print::lines(&way)));
        return Ok(ExitCode::SUCCESS);
    };
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    // Relative paths of nginx's are below its prefix, which we do not know: the file's folder is the nearest guess.
    let folder = file.parent().map(std::path::Path::to_path_buf).unwrap_or_default();
    let read = |path: &str| std::fs::read_to_string(folder.join(path)).map_err(|error| error.to_string());
    let converted = convert::convert(&text, &way, &read)?;
    crate::output::print(format_args!("{}", converted.text));
    for remark in &converted.remarks {
        complain!("{}:{}: {}", file.display(), remark.line, remark.text);
    }
    Ok(ExitCode::SUCCESS)
}
