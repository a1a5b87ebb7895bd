//! What a run found: for people one line a case, for programs JSON and JUnit. Judges nothing.

use std::fmt::Write as _;

use serde::Serialize;

/// How a case ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The plugin keeps this part of the contract.
    Passed,
    /// It does not.
    Failed,
    /// It could not be judged.
    Skipped,
}

/// One case.
#[derive(Debug, Clone, Serialize)]
pub struct CaseReport {
    /// Name, as in `--only`.
    pub name: String,
    /// What it holds the plugin to.
    pub about: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What was done, or why it failed or was skipped.
    pub detail: String,
    /// How long it took.
    pub seconds: f64,
    /// Outside calls that the proxy saw.
    pub outside_calls: usize,
}

/// A whole run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Provider and version, as the plugin describes itself; the file, if it never came up.
    pub plugin: String,
    /// SHA-256 of the file, for the daemon's allow-list.
    pub sha256: String,
    /// The cases in the order in which they ran.
    pub cases: Vec<CaseReport>,
}

impl CaseReport {
    /// One line, and a second one for a reason.
    #[must_use]
    pub fn line(&self) -> String {
        let word = match self.outcome {
            Outcome::Passed => "ok  ",
            Outcome::Failed => "FAIL",
            Outcome::Skipped => "skip",
        };
        let mut line =
            format!("{word} {:<14} {:>7.1} s {:>5} outside calls", self.name, self.seconds, self.outside_calls);
        match self.outcome {
            Outcome::Passed if self.detail.is_empty() => {}
            Outcome::Passed => {
                let _ = write!(line, "  {}", self.detail);
            }
            Outcome::Failed => {
                let _ = write!(line, "\n     expected: {}\n     found: {}", self.about, self.detail);
            }
            Outcome::Skipped => {
                let _ = write!(line, "  {}", self.detail);
            }
        }
        line
    }
}

impl Report {
    /// Cases that ended so.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        self.cases.iter().filter(|case| case.outcome == outcome).count()
    }

    /// Names of the cases that failed.
    #[must_use]
    pub fn failed(&self) -> Vec<&str> {
        let failed = self.cases.iter().filter(|case| case.outcome == Outcome::Failed);
        failed.map(|case| case.name.as_str()).collect()
    }

    /// The closing line.
    #[must_use]
    pub fn summary(&self) -> String {
        let seconds: f64 = self.cases.iter().map(|case| case.seconds).sum();
        format!(
            "{}: {} passed, {} failed, {} skipped, {seconds:.0} s, {} outside calls",
            self.plugin,
            self.count(Outcome::Passed),
            self.count(Outcome::Failed),
            self.count(Outcome::Skipped),
            self.cases.iter().map(|case| case.outside_calls).sum::<usize>(),
        )
    }

    /// All lines.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text: String = self.cases.iter().map(|case| case.line() + "\n").collect();
        text.push_str(&self.summary());
        text
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> String {
        // A report holds nothing that JSON can't.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// For CI systems: <https://github.com/testmoapp/junitxml>.
    #[must_use]
    pub fn junit(&self) -> String {
        let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let _ = writeln!(
            xml,
            "<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\">",
            escape(&self.plugin),
            self.cases.len(),
            self.count(Outcome::Failed),
            self.count(Outcome::Skipped),
        );
        for case in &self.cases {
            let _ = write!(
                xml,
                "  <testcase classname=\"landlord-conformance\" name=\"{}\" time=\"{:.3}\">",
                escape(&case.name),
                case.seconds
            );
            let detail = escape(&case.detail);
            let _ = match case.outcome {
                Outcome::Passed => write!(xml, "<system-out>{detail}</system-out>"),
                Outcome::Failed => write!(xml, "<failure message=\"{}\">{detail}</failure>", escape(&case.about)),
                Outcome::Skipped => write!(xml, "<skipped message=\"{detail}\"/>"),
            };
            xml.push_str("</testcase>\n");
        }
        xml.push_str("</testsuite>\n");
        xml
    }
}

/// XML's five, and no control characters, which XML 1.0 can't hold.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\n' => out.push_str("&#10;"),
            letter if letter.is_control() => out.push('?'),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{CaseReport, Outcome, Report};

    fn report() -> Report {
        let case = |name: &str, outcome, detail: &str| CaseReport {
            name: name.into(),
            about: "deletes are repeatable".into(),
            outcome,
            detail: detail.into(),
            seconds: 1.25,
            outside_calls: 7,
        };
        Report {
            plugin: "fake 0.1.0".into(),
            sha256: "00".into(),
            cases: vec![
                case("describe", Outcome::Passed, ""),
                case("delete-absent", Outcome::Failed, "a <b> & \"c\""),
                case("crash", Outcome::Skipped, "no endpoint"),
            ],
        }
    }

    #[test]
    fn people_read_what_was_expected_and_found() {
        let text = report().text();
        assert!(text.contains("FAIL delete-absent") && text.contains("expected: deletes are repeatable"), "{text}");
        assert!(text.ends_with("fake 0.1.0: 1 passed, 1 failed, 1 skipped, 4 s, 21 outside calls"), "{text}");
    }

    #[test]
    fn junit_is_escaped() {
        let xml = report().junit();
        assert!(xml.contains("tests=\"3\" failures=\"1\" skipped=\"1\""), "{xml}");
        assert!(xml.contains("a &lt;b&gt; &amp; &quot;c&quot;</failure>"), "{xml}");
    }

    #[test]
    fn json_has_the_same() {
        let json: serde_json::Value = serde_json::from_str(&report().json()).unwrap();
        assert_eq!(json["cases"][1]["outcome"], "failed");
    }
}
