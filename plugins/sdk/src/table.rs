//! Tables of a cloud's error codes: how a provider looks one up, and what a good table keeps to. A provider's own table is
//! data; what is the same for all of them is here. Using it is no part of the contract.

use std::collections::BTreeSet;

use landlord_provider_api::ErrorKind;

/// Service (`*`: any), the cloud's code, what it means, and what would mend it (may be empty).
pub type Row = (&'static str, &'static str, ErrorKind, &'static str);

/// Kind and remedy of a code: the service's own row, else the one for any service. `None`: the table does not know it, and
/// families of codes or the HTTP status decide.
#[must_use]
pub fn look_up(table: &[Row], service: &str, code: &str) -> Option<(ErrorKind, &'static str)> {
    let row = |of: &str| table.iter().find(|row| row.0 == of && row.1 == code);
    row(service).or_else(|| row("*")).map(|row| (row.2, row.3))
}

/// The rows in words, for a snapshot: a change of a table is to be seen.
#[must_use]
pub fn lines(table: &[Row]) -> Vec<String> {
    table.iter().map(|(service, code, kind, remedy)| format!("{service} {code} {} {remedy}", kind.as_str())).collect()
}

/// What is wrong with a table: a code with two rows, a failed stage without a remedy, a quota that is not named. Empty for a
/// good one.
#[must_use]
pub fn problems(table: &[Row]) -> Vec<String> {
    let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
    for (service, code, kind, remedy) in table {
        if !seen.insert((service, code)) {
            found.push(format!("{service} {code} has two rows"));
        }
        let fails = matches!(kind, ErrorKind::Quota | ErrorKind::Auth | ErrorKind::NameTaken | ErrorKind::Capacity);
        if fails && remedy.is_empty() {
            found.push(format!("{service} {code} fails a stage and says nothing of what mends it"));
        }
        let names_quota = ["quota", "Quota", "name servers"].iter().any(|word| remedy.contains(word));
        if *kind == ErrorKind::Quota && !names_quota {
            found.push(format!("{service} {code} does not say where the quota is raised: {remedy}"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{Row, lines, look_up, problems};
    use landlord_provider_api::ErrorKind::{Auth, Conflict, Quota};

    const TABLE: [Row; 3] =
        [("*", "Busy", Conflict, ""), ("dns", "Busy", Auth, "ask"), ("dns", "Full", Quota, "raise the quota")];

    #[test]
    fn a_services_own_row_comes_first() {
        assert_eq!(look_up(&TABLE, "dns", "Busy"), Some((Auth, "ask")));
        assert_eq!(look_up(&TABLE, "net", "Busy"), Some((Conflict, "")));
        assert_eq!(look_up(&TABLE, "net", "Full"), None);
        assert_eq!(lines(&TABLE)[0], "* Busy CONFLICT ");
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(problems(&TABLE), [""; 0]);
        let bad: [Row; 3] = [("*", "A", Auth, ""), ("*", "A", Conflict, ""), ("*", "B", Quota, "ask")];
        assert_eq!(problems(&bad).len(), 3);
    }
}
