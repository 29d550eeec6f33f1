//! What a waiting `get` shows on standard error: a bar on a terminal, lines otherwise.

use crate::text::{self, clean};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;

/// Sums over all jobs of the command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) bytes: u64,
    /// Unknown until the size of every file is known.
    pub(crate) bytes_total: Option<u64>,
    pub(crate) files: u64,
    pub(crate) files_total: u64,
}

/// The display.
pub(crate) struct Screen {
    bar: Option<ProgressBar>,
    quiet: bool,
    total_known: Option<bool>,
    name: String,
}

impl Screen {
    pub(crate) fn new(quiet: bool, name: &str) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        Self { bar, quiet, total_known: None, name: clean(name) }
    }

    /// Shows the sums.
    pub(crate) fn update(&mut self, totals: Totals) {
        let Some(bar) = &self.bar else { return };
        let known = totals.bytes_total.filter(|t| *t > 0);
        if self.total_known != Some(known.is_some()) {
            self.total_known = Some(known.is_some());
            bar.set_style(style(known.is_some()));
        }
        match known {
            Some(total) => bar.set_length(total.max(totals.bytes)),
            None => bar.unset_length(),
        }
        bar.set_position(totals.bytes);
        bar.set_prefix(if totals.files_total > 1 {
            format!("{}/{} files", totals.files, totals.files_total)
        } else {
            self.name.clone()
        });
    }

    /// Says something lasting, unless the user wants quiet.
    pub(crate) fn note(&self, line: &str) {
        if !self.quiet {
            self.lines(&[line.to_owned()]);
        }
    }

    /// What the transfer waits for; gone as soon as it moves. On a terminal beside the bar, else as a note.
    pub(crate) fn waiting(&self, reason: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(format!(" {reason}")),
            None => self.note(&format!("bits: {reason}")),
        }
    }

    /// It moves again.
    pub(crate) fn moving(&self) {
        if let Some(bar) = &self.bar {
            bar.set_message("");
        }
    }

    /// Errors: said in any case.
    pub(crate) fn lines(&self, lines: &[String]) {
        match &self.bar {
            Some(bar) => bar.suspend(|| text::note(lines)),
            None => text::note(lines),
        }
    }

    /// Takes the bar away.
    pub(crate) fn close(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(total_known: bool) -> ProgressStyle {
    let template = if total_known {
        "{prefix} {bar:30} {percent:>3}% {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} ETA {eta}{wide_msg}"
    } else {
        "{prefix} {spinner} {binary_bytes} {binary_bytes_per_sec} {elapsed}{wide_msg}"
    };
    ProgressStyle::with_template(template).expect("the template is fixed and tested")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_templates_are_valid() {
        style(true);
        style(false);
    }
}
