//! Conditions: an operator, a key of the request and the values that it is held
//! against. A missing key makes an operator false and a negated one true.

use super::context::{EPOCH_TIME, Facts, Lasts};
use super::date::{Moment, Order};
use super::decision::{Truth, Until};
use super::network::Network;
use super::variable::Template;
use base64ct::{Base64, Encoding};

/// One line of a Condition element: operator, key, values.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Condition {
    operator: Operator,
    /// In lower case.
    key: String,
    values: Values,
}

/// How the values are held against those of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Operator {
    set: Option<Set>,
    test: Test,
    negated: bool,
    if_exists: bool,
}

/// For keys with several values: which of them must meet the condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    /// One, and there must be one.
    Any,
    /// All, be there any or none.
    All,
}

/// What is compared, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Test {
    Text(Comparison),
    Number(Order),
    Date(Order),
    Bool,
    Binary,
    Address,
    Null,
}

/// How texts are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equals,
    EqualsIgnoreCase,
    Like,
    Arn,
}

/// The operators there are: name, what it does, whether it is the negated form.
const OPERATORS: &[(&str, Test, bool)] = &[
    ("StringEquals", Test::Text(Comparison::Equals), false),
    ("StringNotEquals", Test::Text(Comparison::Equals), true),
    ("StringEqualsIgnoreCase", Test::Text(Comparison::EqualsIgnoreCase), false),
    ("StringNotEqualsIgnoreCase", Test::Text(Comparison::EqualsIgnoreCase), true),
    ("StringLike", Test::Text(Comparison::Like), false),
    ("StringNotLike", Test::Text(Comparison::Like), true),
    ("NumericEquals", Test::Number(Order::Equals), false),
    ("NumericNotEquals", Test::Number(Order::Equals), true),
    ("NumericLessThan", Test::Number(Order::LessThan), false),
    ("NumericLessThanEquals", Test::Number(Order::LessThanEquals), false),
    ("NumericGreaterThan", Test::Number(Order::GreaterThan), false),
    ("NumericGreaterThanEquals", Test::Number(Order::GreaterThanEquals), false),
    ("DateEquals", Test::Date(Order::Equals), false),
    ("DateNotEquals", Test::Date(Order::Equals), true),
    ("DateLessThan", Test::Date(Order::LessThan), false),
    ("DateLessThanEquals", Test::Date(Order::LessThanEquals), false),
    ("DateGreaterThan", Test::Date(Order::GreaterThan), false),
    ("DateGreaterThanEquals", Test::Date(Order::GreaterThanEquals), false),
    ("Bool", Test::Bool, false),
    ("BinaryEquals", Test::Binary, false),
    ("IpAddress", Test::Address, false),
    ("NotIpAddress", Test::Address, true),
    ("ArnEquals", Test::Text(Comparison::Arn), false),
    ("ArnNotEquals", Test::Text(Comparison::Arn), true),
    ("ArnLike", Test::Text(Comparison::Arn), false),
    ("ArnNotLike", Test::Text(Comparison::Arn), true),
    ("Null", Test::Null, false),
];

impl Operator {
    /// The operator of this name, with `ForAnyValue:` or `ForAllValues:` before and
    /// `IfExists` behind it. `Null` takes neither.
    pub fn from_name(name: &str) -> Option<Self> {
        let (set, rest) = match name.split_once(':') {
            None => (None, name),
            Some(("ForAnyValue", rest)) => (Some(Set::Any), rest),
            Some(("ForAllValues", rest)) => (Some(Set::All), rest),
            Some(_) => return None,
        };
        let base = rest.strip_suffix("IfExists");
        let (base, if_exists) = base.map_or((rest, false), |base| (base, true));
        let (_, test, negated) = OPERATORS.iter().find(|(name, ..)| *name == base)?;
        let plain = set.is_none() && !if_exists;
        (plain || *test != Test::Null).then_some(Self {
            set,
            test: *test,
            negated: *negated,
            if_exists,
        })
    }

    /// Whether it asks that all values of a key meet it.
    pub fn is_for_all_values(self) -> bool {
        self.set == Some(Set::All)
    }

    /// The answer where the request has no such key. Nothing is among its values
    /// that could meet the condition, or fail it.
    fn without_key(self) -> bool {
        match self.set {
            Some(Set::Any) => false,
            Some(Set::All) => true,
            None => self.negated || self.if_exists,
        }
    }
}

/// What a key is held against, each value read once.
#[derive(Debug, Clone, PartialEq)]
enum Values {
    Text(Vec<Template>, Comparison),
    Number(Vec<f64>, Order),
    Date(Vec<Moment>, Order),
    Bool(Vec<bool>),
    Binary(Vec<Vec<u8>>),
    Address(Vec<Network>),
    Null(Vec<bool>),
}

impl Condition {
    /// Reads the values as the operator needs them; texts may hold `variables`.
    ///
    /// # Errors
    /// Which value is none for the operator.
    pub fn new(
        operator: Operator,
        key: &str,
        values: &[String],
        variables: bool,
    ) -> Result<Self, String> {
        let template = |text: &String| {
            if variables { Template::with_variables(text) } else { Ok(Template::plain(text)) }
        };
        let values = match operator.test {
            Test::Text(comparison) => {
                let texts: Result<_, String> = values.iter().map(template).collect();
                Values::Text(texts?, comparison)
            }
            Test::Number(order) => Values::Number(read(values, "a number", number)?, order),
            Test::Date(order) => Values::Date(read(values, "a date", Moment::parse)?, order),
            Test::Bool => Values::Bool(read(values, "true or false", boolean)?),
            Test::Binary => Values::Binary(read(values, "base64", binary)?),
            Test::Address => Values::Address(read(values, "an IP address", Network::parse)?),
            Test::Null => Values::Null(read(values, "true or false", boolean)?),
        };
        Ok(Self { operator, key: key.to_lowercase(), values })
    }

    /// Whether the request meets it. Of several values of a key without a set
    /// operator one must meet it, or with a negated operator all.
    pub fn holds(&self, facts: &Facts<'_>) -> Truth {
        let found = facts.look_up(&self.key);
        let until = found.until();
        if let Values::Null(expected) = &self.values {
            let is_absent = found.values.is_empty() || found.omitted;
            return Truth { holds: expected.contains(&is_absent), until };
        }
        if found.values.is_empty() {
            return Truth { holds: self.operator.without_key(), until };
        }
        let meets = |value: &String| {
            let equals = if found.lasts == Lasts::Passes {
                self.meets_time(value, facts)
            } else {
                let truth = self.meets(value, facts);
                Truth { until: truth.until.min(until), ..truth }
            };
            if self.operator.negated { equals.not() } else { equals }
        };
        let each = found.values.iter().map(meets);
        match (self.operator.set, self.operator.negated) {
            (Some(Set::All), _) | (None, true) => Truth::all(each),
            (Some(Set::Any), _) | (None, false) => Truth::any(each),
        }
    }

    /// Whether one of the values is met by the time, which passes.
    fn meets_time(&self, value: &str, facts: &Facts<'_>) -> Truth {
        let now = facts.now();
        match &self.values {
            Values::Date(dates, order) => {
                Truth::any(dates.iter().map(|date| now.passes(*order, *date)))
            }
            Values::Number(numbers, order) if self.key == EPOCH_TIME => {
                Truth::any(numbers.iter().map(|n| now.passes(*order, Moment::at_seconds(*n))))
            }
            _ => Truth { until: Until::ThisCall, ..self.meets(value, facts) },
        }
    }

    /// Whether one of the values is met by this one of the request. One that is of
    /// another kind meets none.
    fn meets(&self, value: &str, facts: &Facts<'_>) -> Truth {
        let holds = match &self.values {
            Values::Text(templates, comparison) => {
                return Truth::any(templates.iter().map(|template| {
                    let (pattern, until) = template.resolve(facts);
                    let holds = pattern.is_some_and(|pattern| match comparison {
                        Comparison::Equals => pattern.equals(value),
                        Comparison::EqualsIgnoreCase => pattern.equals_ignoring_case(value),
                        Comparison::Like => pattern.matches(value),
                        Comparison::Arn => pattern.matches_arn(value),
                    });
                    Truth { holds, until }
                }));
            }
            Values::Number(numbers, order) => number(value)
                .is_some_and(|value| numbers.iter().any(|number| order.holds(value, *number))),
            Values::Date(dates, order) => Moment::parse(value)
                .is_some_and(|value| dates.iter().any(|date| order.holds(value, *date))),
            Values::Bool(expected) | Values::Null(expected) => {
                boolean(value).is_some_and(|value| expected.contains(&value))
            }
            Values::Binary(expected) => {
                binary(value).is_some_and(|value| expected.contains(&value))
            }
            Values::Address(networks) => value
                .parse()
                .is_ok_and(|address| networks.iter().any(|network| network.contains(address))),
        };
        Truth::always(holds)
    }
}

/// Reads every value.
fn read<T>(
    values: &[String],
    what: &str,
    reader: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, String> {
    let one = |text: &String| reader(text).ok_or_else(|| format!("\"{text}\" is not {what}"));
    values.iter().map(one).collect()
}

/// A decimal number.
fn number(text: &str) -> Option<f64> {
    // `parse` knows names like `inf` too.
    let decimal = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    text.parse().ok().filter(|number: &f64| decimal && number.is_finite())
}

fn boolean(text: &str) -> Option<bool> {
    text.to_ascii_lowercase().parse().ok()
}

fn binary(text: &str) -> Option<Vec<u8>> {
    Base64::decode_vec(text).ok()
}
