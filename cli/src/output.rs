//! What the program says: lines for people or JSON for programs, on standard output; progress on
//! standard error, as a bar on a terminal and as few plain lines elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Between two plain lines of progress.
const PLAIN_LINE_EVERY: Duration = Duration::from_secs(5);

/// The form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON value.
    Json,
}

impl Form {
    /// Says the lines, or the JSON value.
    pub fn say(
        self,
        lines: impl FnOnce() -> String,
        value: impl FnOnce() -> serde_json::Value,
    ) -> anyhow::Result<()> {
        let text = match self {
            Self::Text => lines(),
            Self::Json => serde_json::to_string_pretty(&value())?,
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", text.trim_end_matches('\n'))?;
        Ok(out.flush()?)
    }

    /// A remark on standard error, for people only.
    pub fn remark(self, text: &str) {
        if self == Self::Text {
            let _ = writeln!(std::io::stderr().lock(), "{text}");
        }
    }
}

/// Progress towards a known total.
pub struct Progress {
    bar: Option<ProgressBar>,
    silent: bool,
    total: u64,
    last: Option<Instant>,
}

impl Progress {
    /// A bar if standard error is a terminal; plain lines otherwise; nothing with JSON.
    pub fn new(form: Form, total: u64) -> Self {
        let silent = form == Form::Json;
        let terminal = std::io::stderr().is_terminal() && !silent;
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let template = match plain {
            true => "{bar:32} {pos}/{len} {msg}",
            false => "{bar:32.cyan/blue} {pos}/{len} {msg}",
        };
        let bar = terminal.then(|| {
            let target = ProgressDrawTarget::stderr_with_hz(10);
            let style = ProgressStyle::with_template(template)
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::with_draw_target(Some(total), target).with_style(style)
        });
        Self { bar, silent, total, last: None }
    }

    /// So much is done; `message` says the rest.
    pub fn at(&mut self, done: u64, message: &str) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            bar.set_message(message.to_owned());
            return;
        }
        let due = self.last.is_none_or(|last| last.elapsed() >= PLAIN_LINE_EVERY);
        if due && !self.silent {
            self.last = Some(Instant::now());
            let _ = writeln!(std::io::stderr().lock(), "{done}/{} {message}", self.total);
        }
    }

    /// The end; the bar goes.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A column-aligned table.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|at| rows.iter().filter_map(move |row| row.get(at)).map(|cell| cell.chars().count()))
        .map(|widths| widths.max().unwrap_or(0))
        .collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Micro-credits as credits.
pub fn credits(micro: u64) -> String {
    farm::money::Amount(micro).to_string()
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [vec!["job".into(), "state".into()], vec!["1234".into(), "open".into()]];
        assert_eq!(table(&rows), "job   state\n1234  open");
        assert_eq!(table(&[]), "");
    }
}
