//! Texts with wildcards: `*` is any run of characters, `?` any single one.

/// One element of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// This character.
    Char(char),
    /// `?`
    One,
    /// `*`
    Any,
}

impl Token {
    /// A character as it stands in a policy.
    pub const fn written(character: char) -> Self {
        match character {
            '*' => Self::Any,
            '?' => Self::One,
            other => Self::Char(other),
        }
    }

    /// The character itself, for those who know no wildcards.
    const fn literal(self) -> char {
        match self {
            Self::Char(character) => character,
            Self::One => '?',
            Self::Any => '*',
        }
    }

    fn takes(self, character: char) -> bool {
        self == Self::One || self == Self::Char(character)
    }
}

/// A text with wildcards.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Pattern(Vec<Token>);

impl Pattern {
    pub const fn new(tokens: Vec<Token>) -> Self {
        Self(tokens)
    }

    /// As a policy has it.
    pub fn written(text: &str) -> Self {
        Self(text.chars().map(Token::written).collect())
    }

    /// What equals it.
    #[cfg(test)]
    pub fn text(&self) -> String {
        self.0.iter().map(|token| token.literal()).collect()
    }

    /// Whether the wildcards can stand for what makes this `text`. The work grows
    /// with the product of the lengths at worst.
    pub fn matches(&self, text: &str) -> bool {
        matches(&self.0, text)
    }

    /// Whether the text is the same; a wildcard is a character like others.
    pub fn equals(&self, text: &str) -> bool {
        self.0.iter().map(|token| token.literal()).eq(text.chars())
    }

    /// As [`Self::equals`], but `A` is `a`.
    pub fn equals_ignoring_case(&self, text: &str) -> bool {
        let own = self.0.iter().flat_map(|token| token.literal().to_lowercase());
        own.eq(text.chars().flat_map(char::to_lowercase))
    }

    /// Whether each of the six parts of the ARN matches its own part; the last
    /// holds what colons there are beyond. A lone `*` is every ARN.
    pub fn matches_arn(&self, arn: &str) -> bool {
        let own: Vec<_> = self.0.splitn(6, |token| *token == Token::Char(':')).collect();
        let parts: Vec<_> = arn.splitn(6, ':').collect();
        if parts.len() != 6 || parts[0] != "arn" {
            return false;
        }
        *self.0 == [Token::Any]
            || own.len() == 6 && own.iter().zip(parts).all(|(own, part)| matches(own, part))
    }
}

/// Goes through both once, and back to just behind the last `*` when what
/// follows it does not fit: that one then takes one character more. An earlier
/// `*` need never take more than it did.
fn matches(tokens: &[Token], text: &str) -> bool {
    let (mut at, mut rest) = (0, text.chars());
    let mut last_any = None;
    loop {
        let token = tokens.get(at);
        if token == Some(&Token::Any) {
            at += 1;
            last_any = Some((at, rest.clone()));
            continue;
        }
        let mut ahead = rest.clone();
        match (token, ahead.next()) {
            (None, None) => return true,
            (Some(_), None) => return false,
            (Some(token), Some(character)) if token.takes(character) => {
                at += 1;
                rest = ahead;
            }
            _ => {
                let Some((after, untaken)) = &mut last_any else { return false };
                untaken.next();
                at = *after;
                rest = untaken.clone();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn wildcards_match_what_they_should() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything: at/all", true),
            ("?", "", false),
            ("?", "é", true),
            ("?", "ab", false),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("*b*", "abc", true),
            ("*b", "abc", false),
            ("a?c", "abc", true),
            ("a??c", "abc", false),
            ("**a**", "a", true),
            ("*ab", "aab", true),
            ("a*b*c", "a-b-b-d-c", true),
            ("Abc", "abc", false),
            ("key/*", "key/1234", true),
            ("*a*", "*", false),
        ] {
            assert_eq!(Pattern::written(pattern).matches(text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn an_escaped_wildcard_is_a_character() {
        let star = Pattern::new(vec![Token::Char('*')]);
        assert!(star.matches("*") && !star.matches("a"));
        let question = Pattern::new(vec![Token::Char('?')]);
        assert!(question.matches("?") && !question.matches("a"));
    }

    #[test]
    fn equality_knows_no_wildcards() {
        let pattern = Pattern::written("Ab*?");
        assert!(pattern.equals("Ab*?") && !pattern.equals("Abcd") && !pattern.equals("ab*?"));
        assert!(pattern.equals_ignoring_case("aB*?") && !pattern.equals_ignoring_case("abcd"));
        assert!(Pattern::written("É").equals_ignoring_case("é"));
    }

    #[test]
    fn the_parts_of_an_arn_match_one_by_one() {
        let arn = "arn:aws:iam::111122223333:user/a:b";
        for (pattern, expected) in [
            ("arn:aws:iam::111122223333:user/a:b", true),
            ("arn:aws:iam::111122223333:user/*", true),
            ("arn:aws:iam::*:user/a?b", true),
            ("arn:*:*:*:*:*", true),
            ("*", true),
            ("arn:aws:iam:*", false),
            ("arn:aws:*:user/a:b", false),
            ("arn:aws:iam::111122223333:user", false),
            ("", false),
        ] {
            assert_eq!(Pattern::written(pattern).matches_arn(arn), expected, "{pattern}");
        }
        assert!(!Pattern::written("*").matches_arn("x"), "not an ARN");
    }

    #[test]
    fn a_hostile_pattern_takes_no_longer_than_its_length_says() {
        // With backtracking into every `*` this would never end.
        let pattern = Pattern::written(&format!("{}b", "a*".repeat(16_000)));
        assert!(!pattern.matches(&"a".repeat(2_000)));
        let pattern = Pattern::written(&format!("{}b", "*a".repeat(1_000)));
        assert!(!pattern.matches(&"a".repeat(2_000)));
    }

    /// The definition, word for word.
    fn naive(tokens: &[Token], text: &[char]) -> bool {
        match (tokens.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((Token::Any, after)), _) => {
                (0..=text.len()).any(|taken| naive(after, &text[taken..]))
            }
            (Some((Token::One, after)), Some((_, rest))) => naive(after, rest),
            (Some((Token::Char(own), after)), Some((first, rest))) => {
                own == first && naive(after, rest)
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn the_matcher_is_the_definition(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            let pattern = Pattern::written(&pattern);
            let characters: Vec<_> = text.chars().collect();
            prop_assert_eq!(pattern.matches(&text), naive(&pattern.0, &characters));
        }
    }
}
