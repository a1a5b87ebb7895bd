//! The words of a filter.

use std::{iter::Peekable, str::Chars};

/// A word of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Open,
    Close,
    /// `=`, `!=`, `<`, `<=`, `>`, `>=`, `:`.
    Operator(&'static str),
    /// `-` before a term.
    Minus,
    Dot,
    /// As it stands; `AND`, `OR` and `NOT` among them.
    Word(String),
    /// In quotes, without them.
    Quoted(String),
}

impl Token {
    pub(super) fn is(&self, keyword: &str) -> bool {
        matches!(self, Self::Word(word) if word == keyword)
    }

    /// As the client wrote it, nearly.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Open => "(".into(),
            Self::Close => ")".into(),
            Self::Operator(text) => (*text).into(),
            Self::Minus => "-".into(),
            Self::Dot => ".".into(),
            Self::Word(word) => word.clone(),
            Self::Quoted(text) => format!("{text:?}"),
        }
    }
}

/// Splits a filter.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut characters = text.chars().peekable();
    while let Some(&next) = characters.peek() {
        if next.is_whitespace() {
            characters.next();
            continue;
        }
        let token = match next {
            '(' | ')' | ':' | '.' | '=' | '!' | '<' | '>' => {
                characters.next();
                symbol(next, characters.next_if_eq(&'=').is_some() && "=!<>".contains(next))?
            }
            '"' | '\'' => {
                characters.next();
                Token::Quoted(quoted(&mut characters, next)?)
            }
            '-' if tokens.last().is_none_or(ends_a_term) => {
                characters.next();
                Token::Minus
            }
            _ => Token::Word(word(&mut characters)),
        };
        tokens.push(token);
    }
    Ok(tokens)
}

/// Whether a term, and not a value, follows.
fn ends_a_term(token: &Token) -> bool {
    match token {
        Token::Operator(_) | Token::Dot => false,
        Token::Open | Token::Close | Token::Minus | Token::Word(_) | Token::Quoted(_) => true,
    }
}

fn symbol(first: char, with_equals: bool) -> Result<Token, String> {
    Ok(match (first, with_equals) {
        ('(', _) => Token::Open,
        (')', _) => Token::Close,
        ('.', _) => Token::Dot,
        (':', _) => Token::Operator(":"),
        ('=', false) => Token::Operator("="),
        ('<', false) => Token::Operator("<"),
        ('>', false) => Token::Operator(">"),
        ('!', true) => Token::Operator("!="),
        ('<', true) => Token::Operator("<="),
        ('>', true) => Token::Operator(">="),
        ('=', true) => return Err("has \"==\"; write \"=\"".into()),
        _ => return Err(format!("has {first:?}; write NOT")),
    })
}

fn quoted(characters: &mut Peekable<Chars<'_>>, quote: char) -> Result<String, String> {
    let mut text = String::new();
    loop {
        match characters.next() {
            Some(c) if c == quote => return Ok(text),
            Some('\\') => text.extend(characters.next()),
            Some(c) => text.push(c),
            None => return Err("has a quote that does not end".into()),
        }
    }
}

/// Ends before what has a meaning of its own; a dot has one only in a field's name, so a value takes it in.
fn word(characters: &mut Peekable<Chars<'_>>) -> String {
    let mut word = String::new();
    while let Some(c) = characters.next_if(|c| !c.is_whitespace() && !"()=!<>:\"'.".contains(*c)) {
        word.push(c);
    }
    word
}
