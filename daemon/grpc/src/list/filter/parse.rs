//! From a filter's text to a checked expression.

use landlord_core::Violation;

use super::{
    expression::{Comparison, Expression, Literal, Operator},
    field::{Field, Kind},
    token::{Token, tokens},
};
use crate::error::violation;

/// Longest filter.
const CHARS_MAX: usize = 1_000;
/// Most brackets and negations within each other.
const DEPTH_MAX: usize = 16;

/// Parses a filter; `fields` are those that the list knows.
pub(crate) fn parse(text: &str, fields: &[Field]) -> Result<Expression, Violation> {
    let refuse = |problem: String| {
        let form = "the form is: FIELD = VALUE AND (FIELD != VALUE OR NOT FIELD:VALUE)";
        let names: Vec<&str> = fields.iter().map(|field| field.name).collect();
        violation("filter", format!("{problem}; {form}; fields: {}", names.join(", ")))
    };
    if text.chars().count() > CHARS_MAX {
        return Err(refuse(format!("is longer than {CHARS_MAX} characters")));
    }
    let tokens = tokens(text).map_err(refuse)?;
    let mut parser = Parser { rest: &tokens, fields };
    if tokens.is_empty() {
        return Ok(Expression::And(Vec::new()));
    }
    let expression = parser.expression(0).map_err(refuse)?;
    match parser.rest.first() {
        None => Ok(expression),
        Some(token) => Err(refuse(format!("{:?} is not expected there", token.shown()))),
    }
}

struct Parser<'a> {
    rest: &'a [Token],
    fields: &'a [Field],
}

impl Parser<'_> {
    fn next_is(&self, keyword: &str) -> bool {
        self.rest.first().is_some_and(|token| token.is(keyword))
    }

    fn skip_if(&mut self, matches: bool) -> bool {
        if matches {
            self.rest = &self.rest[1..];
        }
        matches
    }

    /// Terms joined by AND; terms that only follow each other are joined by it too.
    fn expression(&mut self, depth: usize) -> Result<Expression, String> {
        if depth > DEPTH_MAX {
            return Err(format!("has more than {DEPTH_MAX} brackets within each other"));
        }
        let mut all = vec![self.alternatives(depth)?];
        while !self.rest.is_empty() && self.rest[0] != Token::Close {
            let _ = self.skip_if(self.next_is("AND"));
            all.push(self.alternatives(depth)?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Expression::And(all) })
    }

    fn alternatives(&mut self, depth: usize) -> Result<Expression, String> {
        let mut any = vec![self.term(depth)?];
        while self.skip_if(self.next_is("OR")) {
            any.push(self.term(depth)?);
        }
        Ok(if any.len() == 1 { any.remove(0) } else { Expression::Or(any) })
    }

    fn term(&mut self, depth: usize) -> Result<Expression, String> {
        if depth > DEPTH_MAX {
            return Err(format!("has more than {DEPTH_MAX} negations within each other"));
        }
        if self.skip_if(self.next_is("NOT") || self.rest.first() == Some(&Token::Minus)) {
            return Ok(Expression::Not(Box::new(self.term(depth + 1)?)));
        }
        if self.skip_if(self.rest.first() == Some(&Token::Open)) {
            let inner = self.expression(depth + 1)?;
            return match self.skip_if(self.rest.first() == Some(&Token::Close)) {
                true => Ok(inner),
                false => Err("has a '(' without ')'".into()),
            };
        }
        self.comparison().map(Expression::Compare)
    }

    fn comparison(&mut self) -> Result<Comparison, String> {
        let (field, key) = self.field()?;
        let Some(Token::Operator(operator)) = self.rest.first() else {
            return Err(format!("compares {} with nothing", field.name));
        };
        self.rest = &self.rest[1..];
        let text = self.value().ok_or_else(|| format!("ends after {} {operator}", field.name))?;
        check(field, key, operator, text)
    }

    /// A field, and the key of a map's.
    fn field(&mut self) -> Result<(Field, Option<String>), String> {
        let Some(Token::Word(name)) = self.rest.first() else {
            let found = self.rest.first().map_or("the end".to_owned(), Token::shown);
            return Err(format!("has no field before {found:?}"));
        };
        let known = self.fields.iter().find(|field| field.name == name);
        let field = *known.ok_or_else(|| format!("knows no field {name:?}"))?;
        self.rest = &self.rest[1..];
        if !self.skip_if(self.rest.first() == Some(&Token::Dot)) {
            return Ok((field, None));
        }
        let key = self.value().filter(|_| matches!(field.kind, Kind::Map));
        key.map(|key| (field, Some(key))).ok_or_else(|| format!("knows no field within {name:?}"))
    }

    /// A value: dots and colons belong to it, as in a domain or a time.
    fn value(&mut self) -> Option<String> {
        let mut text = match self.rest.first()? {
            Token::Quoted(text) | Token::Word(text) => text.clone(),
            Token::Minus => "-".to_owned(),
            _ => return None,
        };
        let quoted = matches!(self.rest.first(), Some(Token::Quoted(_)));
        self.rest = &self.rest[1..];
        while let (false, [joint @ (Token::Dot | Token::Operator(":")), Token::Word(more), ..]) = (quoted, self.rest) {
            text = text + &joint.shown() + more;
            self.rest = &self.rest[2..];
        }
        Some(text)
    }
}

/// A comparison that fits its field.
fn check(field: Field, key: Option<String>, operator: &str, text: String) -> Result<Comparison, String> {
    let name = field.name;
    let operator = match operator {
        "=" => Operator::Equal,
        "!=" => Operator::NotEqual,
        "<" => Operator::Less,
        "<=" => Operator::LessOrEqual,
        ">" => Operator::Greater,
        ">=" => Operator::GreaterOrEqual,
        _ => Operator::Has,
    };
    let ordered = matches!(field.kind, Kind::Number | Kind::Time);
    match operator {
        Operator::Equal | Operator::NotEqual if matches!(field.kind, Kind::List) => {
            return Err(format!("{name} has several values; write {name}:VALUE"));
        }
        Operator::Equal | Operator::NotEqual if matches!(field.kind, Kind::Map) && key.is_none() => {
            return Err(format!("{name} is a map; write {name}.KEY = VALUE or {name}:KEY"));
        }
        Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual if !ordered => {
            return Err(format!("{name} can't be compared by size"));
        }
        _ => {}
    }
    let literal = if text == "*" { Literal::Any } else { literal(field, text)? };
    Ok(Comparison { field: name, key, operator, literal })
}

fn literal(field: Field, text: String) -> Result<Literal, String> {
    let name = field.name;
    match field.kind {
        Kind::Bool => text.parse().map(Literal::Bool).map_err(|_| format!("{name} is true or false, not {text:?}")),
        Kind::Number => {
            text.parse().map(Literal::Number).map_err(|_| format!("{name} is a whole number, not {text:?}"))
        }
        Kind::Time => match text.parse::<jiff::Timestamp>() {
            Ok(time) => Ok(Literal::Time(time.as_millisecond())),
            Err(_) => Err(format!("{name} is a time such as \"2026-01-31T12:00:00Z\", not {text:?}")),
        },
        Kind::Word(words) if !words.contains(&text.as_str()) => {
            Err(format!("{text:?} is no {name}; known are: {}", words.join(", ")))
        }
        Kind::Text(check) if !text.contains('*') && !text.is_empty() => {
            check(&text).map_err(|problem| format!("{name}: {problem}"))?;
            Ok(wildcard(text))
        }
        Kind::Text(_) | Kind::Word(_) | Kind::Map | Kind::List => Ok(wildcard(text)),
    }
}

fn wildcard(text: String) -> Literal {
    let (open_start, open_end) = (text.starts_with('*'), text.ends_with('*'));
    let text = text.strip_prefix('*').unwrap_or(&text);
    let text = text.strip_suffix('*').unwrap_or(text).to_owned();
    Literal::Text { text, open_start, open_end }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{super::field::Value, *};

    const FIELDS: [Field; 9] = [
        Field::text("name"),
        Field::new("state", Kind::Word(&["READY", "FAILED", "DELETING"])),
        Field::new("tenant_class", Kind::Text(|text| if text == "A/B" { Err("is none".into()) } else { Ok(()) })),
        Field::text("domain"),
        Field::new("paused", Kind::Bool),
        Field::new("storage_gib", Kind::Number),
        Field::new("create_time", Kind::Time),
        Field::new("labels", Kind::Map),
        Field::new("regions", Kind::List),
    ];

    fn matches(text: &str) -> bool {
        let labels = BTreeMap::from([("tier".to_owned(), "gold".to_owned()), ("a.b".into(), "x y".into())]);
        let value = |field: &str| match field {
            "name" => Value::text("customers/acme/tenants/prod"),
            "state" => Value::text("READY"),
            "domain" => Value::text("files.acme.example.com"),
            "paused" => Value::Bool(false),
            "storage_gib" => Value::Number(100),
            // 2026-01-31T12:00:00Z.
            "create_time" => Value::Time(1_769_860_800_000),
            "labels" => Value::Map(&labels),
            "regions" => Value::List(vec!["eu-central-1", "eu-west-1"]),
            _ => Value::Absent,
        };
        let expression = parse(text, &FIELDS).unwrap_or_else(|refused| panic!("{text}: {}", refused.description));
        expression.matches(&value)
    }

    #[test]
    fn items_are_chosen_as_aip_160_says() {
        for (text, expected) in [
            ("", true),
            ("state = READY", true),
            ("state=READY AND paused=false", true),
            ("state != READY", false),
            ("NOT state = READY", false),
            ("-state = FAILED", true),
            ("NOT (state = FAILED OR paused = true)", true),
            ("state = FAILED OR state = READY", true),
            // OR binds tighter than AND.
            ("paused = true AND state = FAILED OR state = READY", false),
            ("state = READY OR state = FAILED AND paused = true", false),
            ("state = READY storage_gib > 10", true),
            ("storage_gib >= 100 AND storage_gib <= 100 AND NOT storage_gib < 100", true),
            ("storage_gib > -5", true),
            ("create_time > \"2026-01-31T11:59:59Z\"", true),
            ("create_time >= 2026-01-31T12:00:00Z AND create_time < 2026-01-31T13:00:00+01:00", false),
            ("create_time <= 2026-01-31T13:00:00+01:00", true),
            ("name = \"customers/acme/tenants/p*\"", true),
            ("name = customers/acme/*", true),
            ("name = \"*/prod\"", true),
            ("name = \"*tenants*\"", true),
            ("name != \"customers/bolt/*\"", true),
            ("name = p*", false),
            ("domain = files.acme.example.com", true),
            ("domain = *.example.com", true),
            ("labels.tier = gold", true),
            ("labels.tier != gold", false),
            ("labels.\"a.b\" = \"x y\"", true),
            ("labels.none = gold", false),
            ("labels:tier", true),
            ("labels:none", false),
            ("labels:*", true),
            ("regions:eu-west-1", true),
            ("regions:eu-north-1", false),
            ("tenant_class = \"\"", true),
            ("tenant_class:*", false),
            ("tenant_class != small", true),
            ("((((state = READY))))", true),
        ] {
            assert_eq!(matches(text), expected, "{text}");
        }
    }

    #[test]
    fn whatever_is_not_understood_is_refused_with_a_reason() {
        let long = "x".repeat(CHARS_MAX + 1);
        let deep = format!("{}state = READY{}", "(".repeat(40), ")".repeat(40));
        let negated = format!("{}state = READY", "NOT ".repeat(40));
        for (text, word) in [
            ("size = 3", "knows no field \"size\""),
            ("state", "compares state with nothing"),
            ("state = ", "ends after state ="),
            ("state > READY", "can't be compared by size"),
            ("state = GREEN", "\"GREEN\" is no state; known are: READY, FAILED, DELETING"),
            ("(state = READY", "'(' without ')'"),
            ("state = READY)", "not expected"),
            ("state = \"READY", "a quote that does not end"),
            ("state = READY AND", "no field before"),
            ("state == READY", "write \"=\""),
            ("!state = READY", "write NOT"),
            ("paused = maybe", "true or false"),
            ("storage_gib = many", "a whole number"),
            ("create_time > yesterday", "a time such as"),
            ("labels = gold", "write labels.KEY"),
            ("state.x = READY", "knows no field within"),
            ("regions = eu-west-1", "write regions:VALUE"),
            ("tenant_class = A/B", "is none"),
            ("READY", "knows no field"),
            (long.as_str(), "longer than"),
            (deep.as_str(), "brackets within each other"),
            (negated.as_str(), "negations within each other"),
        ] {
            let refused = parse(text, &FIELDS).unwrap_err();
            assert_eq!(refused.field, "filter");
            assert!(refused.description.contains(word), "{text}: {}", refused.description);
        }
    }

    #[test]
    fn the_store_reads_no_more_than_can_match() {
        for (text, states) in [
            ("state = READY", Some(vec!["READY"])),
            ("paused = true AND state = READY OR state = FAILED", Some(vec!["READY", "FAILED"])),
            ("state = READY OR paused = true", None),
            ("state != READY", None),
            ("NOT state = READY", None),
        ] {
            let states = states.map(|states| states.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
            assert_eq!(parse(text, &FIELDS).unwrap().texts("state"), states, "{text}");
        }
        assert_eq!(parse("paused = true AND state = READY", &FIELDS).unwrap().flag("paused"), Some(true));
        assert_eq!(parse("paused = true OR state = READY", &FIELDS).unwrap().flag("paused"), None);
    }
}
