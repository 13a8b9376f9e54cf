//! Keys by `pkcs11:` URI (RFC 7512): the attributes that name a token and a secret key.

/// What a URI names.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct KeyUri {
    /// `token`: the token's label.
    pub token: Option<String>,
    /// `object`: the key's label.
    pub object: Option<String>,
    /// `id`: `CKA_ID`.
    pub id: Option<Vec<u8>>,
}

/// Whether a text is such a URI.
pub fn is_uri(text: &str) -> bool {
    text.starts_with("pkcs11:")
}

impl KeyUri {
    /// Reads a URI. `type` must be `secret-key`; query attributes and other path
    /// attributes are refused, for they would be passed over in silence.
    pub fn parse(uri: &str) -> Result<Self, String> {
        let refused = |why: &str| Err(format!("{uri}: {why}"));
        let Some(path) = uri.strip_prefix("pkcs11:") else { return refused("no pkcs11: URI") };
        if path.contains('?') {
            return refused("query attributes are not taken here");
        }
        let mut found = Self::default();
        for attribute in path.split(';').filter(|attribute| !attribute.is_empty()) {
            let Some((name, value)) = attribute.split_once('=') else {
                return refused("an attribute has no value");
            };
            let Some(bytes) = decoded(value) else {
                return refused("a value is not percent-encoded as RFC 3986 has it");
            };
            let text = || {
                String::from_utf8(bytes.clone()).map_err(|_| format!("{uri}: {name} is not UTF-8"))
            };
            let is_new = match name {
                "token" => found.token.replace(text()?).is_none(),
                "object" => found.object.replace(text()?).is_none(),
                "id" => found.id.replace(bytes).is_none(),
                "type" if value == "secret-key" => true,
                "type" => return refused("only a secret-key can be meant"),
                _ => return refused(&format!("the attribute {name} is not taken here")),
            };
            if !is_new {
                return refused(&format!("{name} stands twice"));
            }
        }
        Ok(found)
    }
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let value = digit(bytes.next()?)? * 16 + digit(bytes.next()?)?;
                u8::try_from(value).ok()?
            }
            other => other,
        });
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_name_token_and_key() {
        let uri = KeyUri::parse("pkcs11:token=my%20token;object=jwt;id=%01%ff;type=secret-key");
        let expected = KeyUri {
            token: Some("my token".into()),
            object: Some("jwt".into()),
            id: Some(vec![1, 255]),
        };
        assert_eq!(uri, Ok(expected));
        assert_eq!(KeyUri::parse("pkcs11:"), Ok(KeyUri::default()));
    }

    #[test]
    fn what_would_be_passed_over_is_refused() {
        for (uri, why) in [
            ("pkcs11:object", "no value"),
            ("pkcs11:object=%4", "percent"),
            ("pkcs11:object=%zz", "percent"),
            ("pkcs11:object=a;object=b", "twice"),
            ("pkcs11:object=%ff", "UTF-8"),
            ("pkcs11:type=cert", "secret-key"),
            ("pkcs11:serial=1", "serial is not taken"),
            ("pkcs11:object=a?pin-value=1", "query"),
            ("jwt", "no pkcs11"),
        ] {
            let refusal = KeyUri::parse(uri).unwrap_err();
            assert!(refusal.contains(why), "{uri}: {refusal}");
        }
    }
}
