//! Tables of a cloud's error codes: how a provider looks one up, and what a good table keeps to. A provider's own table is
//! data; what is the same for all of them is here. Using it is no part of the contract.

use std::collections::BTreeSet;

use landlord_provider_api::ErrorKind;

/// Service (`*`: any), the cloud's code, what it means, and its remedy (may be empty).
pub type Row = (&'static str, &'static str, ErrorKind, &'static str);

/// Kind and remedy of a code: the service's own row, else the one for any service. `None`: the table does not know it, and
/// families of codes or the HTTP status decide.
#[must_use]
pub fn look_up(table: &[Row], service: &str, code: &str) -> Option<(ErrorKind, &'static str)> {
    let row = |of: &str| table.iter().find(|row| row.0 == of && row.1 == code);
    row(service).or_else(|| row("*")).map(|row| (row.2, row.3))
}

/// Codes (none: any), words of a message in lower case that are more specific than these codes, what they mean, and the remedy
/// it. Codes come first: such a row is for those that frame, or share, several causes.
pub type WordsRow = (&'static [&'static str], &'static str, ErrorKind, &'static str);

/// Kind and remedy by the words of a message; `None`: its code decides.
#[must_use]
pub fn by_words(table: &[WordsRow], code: &str, message: &str) -> Option<(ErrorKind, &'static str)> {
    let message = message.to_lowercase();
    let fits = |row: &&WordsRow| (row.0.is_empty() || row.0.contains(&code)) && message.contains(row.1);
    table.iter().find(fits).map(|row| (row.2, row.3))
}

/// Whoever a remedy may name.
const PERSONS: [&str; 7] = ["administrator", "operator", "owner", "whoever", "customer", "support", "landlord tries"];

/// Who must do what where a cloud's code says no more than the kind. What may pass by itself says so first.
fn by_kind(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Throttled => {
            "landlord tries again by itself; if it lasts, whoever else uses the cloud account makes fewer calls"
        }
        ErrorKind::Transient => {
            "landlord tries again by itself; if it lasts, the operator sees on the cloud's status page what is wrong"
        }
        ErrorKind::Conflict => {
            "landlord tries again by itself; if it lasts, whoever owns what is in the way ends or removes it"
        }
        ErrorKind::Quota => "the cloud account's administrator has the quota raised, then retry",
        ErrorKind::Auth => "the cloud account's administrator gives landlord's identity the right, then retry",
        ErrorKind::Invalid => {
            "the operator corrects the class, or the customer the order, where the message says; then retry"
        }
        ErrorKind::Capacity => "the customer orders another class or region, or waits",
        ErrorKind::NameTaken => "whoever owns the object of that name removes it, then retry",
        ErrorKind::Internal => "the operator reports it, with the daemon's log, to the plugin's authors; then retry",
    }
}

/// Whether a remedy says no more than the kind of its error does: whoever knows more about the object says that instead.
#[must_use]
pub fn is_general(remedy: &str) -> bool {
    use ErrorKind::{Auth, Capacity, Conflict, Internal, Invalid, NameTaken, Quota, Throttled, Transient};
    let kinds = [Throttled, Quota, Auth, Invalid, Conflict, Capacity, Transient, NameTaken, Internal];
    remedy.is_empty() || kinds.into_iter().any(|kind| by_kind(kind) == remedy)
}

/// A remedy that names who must do what: those of a table show what only, and the kind shows whose work that is.
#[must_use]
pub fn addressed(kind: ErrorKind, remedy: &str) -> String {
    if remedy.is_empty() {
        return by_kind(kind).to_owned();
    }
    if PERSONS.iter().any(|person| remedy.contains(person)) {
        return remedy.to_owned();
    }
    match kind {
        ErrorKind::Quota | ErrorKind::Auth | ErrorKind::NameTaken => format!("cloud account's administrator: {remedy}"),
        ErrorKind::Invalid | ErrorKind::Capacity | ErrorKind::Conflict | ErrorKind::Internal => {
            format!("landlord's operator: {remedy}")
        }
        ErrorKind::Transient | ErrorKind::Throttled => remedy.to_owned(),
    }
}

/// The remedy of a request that a cloud refused for its time: both times, as far as they are known.
#[must_use]
pub fn clock_skew(ours: Option<&str>, theirs: Option<&str>) -> String {
    let reported = |whose: &str, time: Option<&str>| time.map(|time| format!("{whose} says {time}"));
    let times: Vec<String> =
        [reported("this machine's clock", ours), reported("the cloud's clock", theirs)].into_iter().flatten().collect();
    let times = if times.is_empty() { String::new() } else { format!(": {}", times.join(", ")) };
    format!(
        "the operator sets the clock of the daemon's machine (NTP){times}; the credentials are not to blame; then retry"
    )
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

/// What is wrong with a table by a list of a vendor's published codes, one `service code` a line (`#`: a comment): those that
/// it does not know, and those of which nobody learns who must do what.
#[must_use]
pub fn uncovered(published: &str, look_up: impl Fn(&str, &str) -> Option<(ErrorKind, &'static str)>) -> Vec<String> {
    let lines = published.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .filter_map(|line| {
            let Some((service, code)) = line.split_once(' ') else {
                return Some(format!("{line}: no service and code"));
            };
            match look_up(service, code) {
                None => Some(format!("{line}: has no row")),
                Some((kind, remedy)) => {
                    let remedy = addressed(kind, remedy);
                    let names = PERSONS.iter().any(|person| remedy.contains(person));
                    (!names).then(|| format!("{line}: nobody is named: {remedy}"))
                }
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Row, WordsRow, addressed, by_words, clock_skew, is_general, lines, look_up, problems, uncovered};
    use landlord_provider_api::ErrorKind::{Auth, Conflict, Quota, Transient};

    #[test]
    fn words_show_what_a_shared_code_does_not() {
        let words: [WordsRow; 2] = [(&["Denied"], "control policy", Auth, "scp"), (&[], "quota", Quota, "more")];
        assert_eq!(by_words(&words, "Denied", "a Service Control Policy"), Some((Auth, "scp")));
        assert_eq!(by_words(&words, "Other", "a control policy"), None);
        assert_eq!(by_words(&words, "Other", "the Quota"), Some((Quota, "more")));
    }

    #[test]
    fn a_remedy_says_whose_work_it_is() {
        assert_eq!(addressed(Auth, "allow it"), "cloud account's administrator: allow it");
        assert_eq!(addressed(Conflict, "the key's owner enables it"), "the key's owner enables it");
        assert_eq!(addressed(Transient, "wait"), "wait");
        assert!(addressed(Quota, "").contains("administrator has the quota raised"));
        assert!(is_general(&addressed(Quota, "")) && is_general("") && !is_general("allow it"));
        let skew = clock_skew(Some("08:30"), Some("09:20"));
        assert!(skew.contains("this machine's clock says 08:30, the cloud's clock says 09:20"), "{skew}");
    }

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
    fn published_codes_without_a_row_are_named() {
        let published = "# a comment\ndns Full\nnet Busy\n\nnet Full\nnonsense\n";
        let found = uncovered(published, |service, code| look_up(&TABLE, service, code));
        assert_eq!(found, ["net Full: has no row", "nonsense: no service and code"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(problems(&TABLE), [""; 0]);
        let bad: [Row; 3] = [("*", "A", Auth, ""), ("*", "A", Conflict, ""), ("*", "B", Quota, "ask")];
        assert_eq!(problems(&bad).len(), 3);
    }
}
