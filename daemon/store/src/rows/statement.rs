//! A statement whose text depends on the query. sqlx's own builder writes `?`, which PostgreSQL does not know.

use sqlx::{Any, Arguments as _, AssertSqlSafe, Encode, Type, any::AnyArguments, query::Query, query_with};

/// Text and parameters, added in order. Only the crate's own words are pushed as text; values are bound.
#[derive(Default)]
pub(crate) struct Statement {
    text: String,
    arguments: AnyArguments,
}

impl Statement {
    pub(crate) fn new(text: &'static str) -> Self {
        Self { text: text.to_owned(), arguments: AnyArguments::default() }
    }

    pub(crate) fn push(&mut self, text: &'static str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Adds the next parameter. Texts and numbers can always be encoded; the database would refuse a missing parameter.
    pub(crate) fn bind<'t>(&mut self, value: impl Encode<'t, Any> + Type<Any>) -> &mut Self {
        let _ = self.arguments.add(value);
        self.text.push('$');
        self.text.push_str(&self.arguments.len().to_string());
        self
    }

    /// Adds parameters with commas between them.
    pub(crate) fn bind_all<'t>(&mut self, values: impl IntoIterator<Item: Encode<'t, Any> + Type<Any>>) -> &mut Self {
        for (index, value) in values.into_iter().enumerate() {
            if index > 0 {
                self.push(", ");
            }
            self.bind(value);
        }
        self
    }

    pub(crate) fn query(self) -> Query<'static, Any, AnyArguments> {
        query_with(AssertSqlSafe(self.text), self.arguments)
    }

    #[cfg(test)]
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}
